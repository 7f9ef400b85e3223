"""Reading when the samples of an MP4 file are displayed, from the tables that FFmpeg has written.

ISO/IEC 14496-12. The tables of an hour have some 100 000 entries, and reading them takes milliseconds
where reading all packets takes seconds.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from pathlib import Path
from typing import BinaryIO

from .errors import ToolBroke

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}
TABLES = {b"mvhd", b"mdhd", b"elst", b"stts", b"ctts", b"stss"}
MOST_BYTES = 64 * 1024 * 1024  # of one table: six hours at 60 pictures a second need a sixth of it


@dataclass(frozen=True)
class Samples:
    """The samples of the only track of a file, in seconds, in the order in which they are displayed.

    ``times`` may begin below zero: a player skips such samples. ``end`` is the end of the last sample,
    ``keyframes`` are the times of those that can be decoded alone.
    """

    times: list[float]
    keyframes: list[float]
    end: float


def samples_of(file: Path) -> Samples:
    """Return the samples of an MP4 file with one track. Raises ToolBroke if it has none."""
    with file.open("rb") as opened:
        tables = dict(_tables(opened, file.stat().st_size))
    try:
        scale = _timescale(tables[b"mdhd"])
        steps = list(_runs(tables[b"stts"], "II"))
        lengths = list(chain.from_iterable(repeat(step, count) for count, step in steps))
        decoded = accumulate(lengths, initial=0)
        shifts = chain.from_iterable(
            repeat(shift, count) for count, shift in _runs(tables.get(b"ctts", b""), "Ii")
        )
        first = _start(tables.get(b"elst", b""), scale, _timescale(tables[b"mvhd"]))
        shown = [
            time + shift - first
            for time, shift, _ in zip(decoded, chain(shifts, repeat(0)), lengths, strict=False)
        ]
        keys = tables.get(b"stss")
        numbers = [n for (n,) in _runs(keys, "I")] if keys else range(1, len(shown) + 1)
        end = max(time + length for time, length in zip(shown, lengths, strict=True))
        return Samples(
            times=[time / scale for time in sorted(shown)],
            keyframes=sorted(shown[number - 1] / scale for number in numbers),
            end=end / scale,
        )
    except (KeyError, IndexError, ValueError, struct.error, ZeroDivisionError) as error:
        raise ToolBroke(f"The copied track has no readable tables: {error!r}.") from error


def _tables(file: BinaryIO, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the tables between the file's position and ``end``, of all nested boxes."""
    while (start := file.tell()) + 8 <= end:
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        stop = start + size if size else end
        if kind in CONTAINERS:
            yield from _tables(file, stop)
        elif kind in TABLES and stop - file.tell() <= MOST_BYTES:
            yield kind, file.read(stop - file.tell())
        if stop <= start:
            return
        file.seek(stop)


def _runs(table: bytes, entry: str) -> Iterator[tuple[int, ...]]:
    """Yield the entries of a table that begins with version, flags and their number."""
    if table:
        (count,) = struct.unpack_from(">I", table, 4)
        shape = struct.Struct(f">{entry}")
        yield from shape.iter_unpack(table[8 : 8 + count * shape.size])


def _timescale(header: bytes) -> int:
    scale: int = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    return scale


def _start(edits: bytes, scale: int, scale_of_movie: int) -> int:
    """Return the time of the track, in its own units, that the edit list shows at the time zero.

    It is above zero where the beginning is skipped, and below where an empty edit delays it.
    """
    start = 0
    for length, time, _ in _runs(edits, "Qqi" if edits and edits[0] else "Iii"):
        if time >= 0:
            return start + time
        start -= length * scale // scale_of_movie
    return start
