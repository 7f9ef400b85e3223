"""The contents of a roll-up: sums, sets of viewers, and both for each quarter hour of the day.

A quarter hour is the finest step of which every time zone's days are made (Kathmandu is 5 h 45 min from
UTC). Milliseconds are whole numbers, so that sums do not depend on their order.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from pyroaring import BitMap

QUARTER = timedelta(minutes=15)
# Playback with one access: the sum of each of these, in this order.
# Sessions; watched and delivered ms; and of the sessions with a heartbeat: their number, those with a
# start-up time, its sum in ms, stalled ms, and watched ms whether delivered or not.
SESSIONS, WATCH_MS, HEARD, STARTUPS, STARTUP_MS, REBUFFER_MS, HEARD_MS = range(7)
Sums = list[int]
ZEROS: tuple[int, ...] = (0,) * 7


def nothing() -> Sums:
    return list(ZEROS)


def add(into: Sums, more: Iterable[int]) -> None:
    """Add the sums ``more`` to ``into``."""
    for place, value in enumerate(more):
        into[place] += value


@dataclass(slots=True)
class Playback:
    """The views and the playback of one set of videos in one time: a quarter, a day, or a whole period.

    ``viewers`` are the numbers of the viewers, ``strangers`` the keys of those without a number yet.
    """

    views: int = 0
    viewers: BitMap = field(default_factory=BitMap)
    strangers: set[str] = field(default_factory=set)
    by_access: dict[str, Sums] = field(default_factory=dict)

    @property
    def unique_viewers(self) -> int:
        return len(self.viewers) + len(self.strangers)

    @property
    def is_empty(self) -> bool:
        return not (self.views or self.by_access)

    @property
    def sessions(self) -> int:
        return sum(sums[SESSIONS] for sums in self.by_access.values())

    @property
    def watch_ms(self) -> int:
        return sum(sums[WATCH_MS] for sums in self.by_access.values())

    def sums(self) -> Sums:
        """Return the sums over every access."""
        total = nothing()
        for sums in self.by_access.values():
            add(total, sums)
        return total

    def play(self, access: str, more: Iterable[int]) -> None:
        """Add playback with one access."""
        add(self.by_access.setdefault(access, nothing()), more)

    def merge(self, other: "Playback") -> None:
        """Add all of another time or of other videos; a viewer in both stays one viewer."""
        self.views += other.views
        self.viewers |= other.viewers
        self.strangers |= other.strangers
        for access, sums in other.by_access.items():
            self.play(access, sums)


Quarters = dict[int, Playback]  # by the number of the quarter of the day, from 0


def quarter_of(moment: datetime) -> tuple[date, int]:
    """Return the day (UTC) of a moment, and the number of its quarter hour on that day."""
    utc = moment.astimezone(UTC)
    return utc.date(), utc.hour * 4 + utc.minute // 15


def begin_of(day: date, quarter: int = 0) -> datetime:
    """Return the first moment of a day (UTC), or of one of its quarter hours."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + quarter * QUARTER


def pack(quarters: Quarters) -> bytes:
    """Return the quarters as bytes: a length and JSON of their sums, then the sets of viewers."""
    numbers = sorted(quarters)
    sets = [quarters[number].viewers.serialize() for number in numbers]
    head = json.dumps(
        [
            [number, quarters[number].views, len(viewers), quarters[number].by_access]
            for number, viewers in zip(numbers, sets, strict=True)
        ],
        separators=(",", ":"),
        sort_keys=True,
    ).encode()
    return struct.pack("<I", len(head)) + head + b"".join(sets)


def unpack(packed: bytes | memoryview) -> Iterator[tuple[int, Playback]]:
    """Yield the quarters of `pack`, with their numbers in ascending order."""
    stored = bytes(packed)
    place = 4 + struct.unpack_from("<I", stored)[0]
    for number, views, length, by_access in json.loads(stored[4:place]):
        viewers = BitMap.deserialize(stored[place : place + length])
        place += length
        yield number, Playback(views, viewers, set(), by_access)


def gather(packed: bytes | memoryview, parts: Sequence[tuple[int, int]]) -> list[Playback]:
    """Return the playback of parts of a packed day: the quarters from one number to just before another.

    The parts are in ascending order and do not overlap. Much faster than merging what `unpack` yields.
    """
    stored = bytes(packed)
    place = 4 + struct.unpack_from("<I", stored)[0]
    found = [Playback() for _ in parts]
    sets: list[list[BitMap]] = [[] for _ in parts]
    played: list[dict[str, list[Sums]]] = [{} for _ in parts]
    part = 0
    for number, views, length, by_access in json.loads(stored[4:place]):
        begin, place = place, place + length
        while part < len(parts) and number >= parts[part][1]:
            part += 1
        if part == len(parts):
            break
        if number < parts[part][0]:
            continue
        if views:
            found[part].views += views
            sets[part].append(BitMap.deserialize(stored[begin:place]))
        for access, sums in by_access.items():
            played[part].setdefault(access, []).append(sums)
    for row, viewers, accesses in zip(found, sets, played, strict=True):
        if viewers:
            row.viewers = BitMap.union(*viewers)
        row.by_access = {
            access: [sum(column) for column in zip(*rows, strict=True)]
            for access, rows in accesses.items()
        }
    return found


def unpack_set(viewers: bytes | memoryview) -> BitMap:
    """Return a stored set of viewers."""
    return BitMap.deserialize(bytes(viewers))
