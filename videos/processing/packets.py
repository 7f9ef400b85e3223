"""Reading when the packets of a source are shown, without decoding them.

A stream's packets are joined into pieces: runs of packets in which the clock goes on. Between two pieces
of a stream the clock jumps, or nothing is shown for a while; ``clock`` decides which it is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from . import cage, tools
from .errors import Rejected, ToolBroke
from .formats import untrusted_input

STEP_AHEAD = Fraction(
    2, 5
)  # of the clock, in seconds; a longer one begins a new piece, as any back does
MOST_PIECES = 1000  # of one stream; after so many, its clock is no longer followed
MOST_STEPS = 10_000  # different lengths of pictures that are counted
ALLOWED_SECONDS = 240
READ_BYTES = 10_000_000  # a second, at least, when a whole file is read


@dataclass
class Piece:
    """A run of packets of one stream, with times in seconds by the source's clock.

    ``number`` is the first packet's number in its stream, ``at`` its number in the whole file, ``last``
    that of the last packet in the whole file. It is shown from ``start`` to ``end``.
    """

    number: int
    at: int
    last: int
    start: Fraction
    end: Fraction


@dataclass
class Packets:
    """The packets of one stream.

    ``steps`` counts the ticks of the stream's clock between neighbours in a piece; ``first_step`` is the
    first of them. ``keyframe_gap`` is the longest time between two keyframes so far, in seconds.
    """

    index: int
    tick: Fraction
    count: int = 0
    pieces: list[Piece] = field(default_factory=list)
    steps: Counter[int] = field(default_factory=Counter)
    first_step: int = 0
    keyframe_gap: Fraction = Fraction(0)
    length: int = 0  # of the last packet, in ticks
    _decoded_at: int = 0
    _step: int = 0  # to the last packet from the one before it
    _keyframe: int | None = None

    @property
    def longest_without_keyframe(self) -> Fraction:
        """The longest time between two keyframes, or from the last one to the end, in seconds."""
        last = self.pieces[-1].start if self._keyframe is None else self._keyframe * self.tick
        return max(self.keyframe_gap, self.pieces[-1].end - last)

    def note(self, at: int, pts: int | None, dts: int | None, length: int, flags: str) -> None:
        """Add the next packet, which is packet ``at`` of the whole file. Times are in ticks."""
        number = self.count
        self.count += 1
        decoded_at, shown_at = self._times(pts, dts)
        if "K" in flags:
            if self._keyframe is not None and shown_at > self._keyframe:
                self.keyframe_gap = max(self.keyframe_gap, (shown_at - self._keyframe) * self.tick)
            self._keyframe = shown_at
        if "D" in flags and not self.pieces:
            return  # decoded for the sake of others, and not shown
        length = length or self._step  # browsers' recordings do not tell it
        start, end = shown_at * self.tick, (shown_at + length) * self.tick
        if not self.pieces or self._steps(decoded_at):
            self.pieces.append(Piece(number, at, at, start, end))
        else:
            piece = self.pieces[-1]
            piece.last = at
            piece.start, piece.end = min(piece.start, start), max(piece.end, end)
            self._step = max(0, decoded_at - self._decoded_at)
            if self._step and (self._step in self.steps or len(self.steps) < MOST_STEPS):
                self.steps[self._step] += 1
            self.first_step = self.first_step or self._step
        self._decoded_at, self.length = decoded_at, length

    def _times(self, pts: int | None, dts: int | None) -> tuple[int, int]:
        """Return when a packet is decoded and when it is shown, in ticks.

        Matroska tells only when it is shown; ffprobe does not know the other time at the beginning.
        """
        if dts is not None:
            return dts, dts if pts is None else pts
        if pts is None:
            return self._decoded_at + self.length, self._decoded_at + self.length
        is_near = self.pieces and abs(pts - self._decoded_at) < STEP_AHEAD / self.tick
        return self._decoded_at if is_near else pts, pts

    def _steps(self, decoded_at: int) -> bool:
        """Return whether the clock steps back or ahead to the next packet."""
        back = decoded_at < self._decoded_at
        ahead = decoded_at > self._decoded_at + self.length + STEP_AHEAD / self.tick
        return (back or ahead) and len(self.pieces) < MOST_PIECES


def read(source: Path, ticks: dict[int, Fraction]) -> dict[int, Packets]:
    """Read all packets of the streams in ``ticks``, whose values are the streams' time bases.

    Streams without packets are left out. A file that breaks off is read as far as it goes. Raises
    Rejected as soon as a stream lasts longer than a video may, and ToolFailed.
    """
    streams = {index: Packets(index, tick) for index, tick in ticks.items()}
    at, most_seconds = 0, settings.MAX_DURATION_SECONDS

    def note(line: str) -> bool:
        nonlocal at
        index, *times, flags = line.rstrip(",").split(",")
        if (stream := streams.get(int(index))) and len(times) == 3:
            pts, dts, length = (None if time == "N/A" else int(time) for time in times)
            stream.note(at, pts, dts, length or 0, flags)
            if stream.pieces and stream.pieces[-1].end - stream.pieces[-1].start > most_seconds:
                raise too_long()
        at += 1
        return True

    allowed = ALLOWED_SECONDS + source.stat().st_size / READ_BYTES
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "csv=p=0"]
    argv += ["-show_entries", "packet=stream_index,pts,dts,duration,flags"]
    cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=allowed,
        wall_seconds=allowed,
        on_line=note,
    )
    return {index: stream for index, stream in streams.items() if stream.pieces}


class Copied:
    """The packets of files that ``encode`` has written, each with one stream, as FFmpeg copies them.

    FFmpeg gets ``arguments`` after its inputs, which are the ``count`` files, and ``note`` its lines:
    so the packets are read by the same process that decodes the files. Its muxer ``framecrc`` writes a
    line for each packet, with its times in ticks of the stream's time base.
    """

    BEFORE_INPUTS = ("-copyts",)
    KEY, DISCARD = 1, 4  # AV_PKT_FLAG_…

    def __init__(self, count: int) -> None:
        maps = [argument for number in range(count) for argument in ("-map", str(number))]
        self.arguments = [*maps, "-c", "copy", "-f", "framecrc", "pipe:1"]
        self._streams: dict[int, Packets] = {}
        self._at = 0

    def note(self, line: str) -> bool:
        """Read one line: "#tb 0: 1/12800", or "0, dts, pts, length, bytes, checksum, F=flags"."""
        if line.startswith("#tb "):
            number, _, tick = line.removeprefix("#tb ").partition(":")
            self._streams[int(number)] = Packets(int(number), Fraction(tick.strip()))
        elif line[:1].isdigit():
            number, dts, pts, length, *rest = (each.strip() for each in line.split(","))
            told = [each.removeprefix("F=") for each in rest if each.startswith("F=")]
            flags = int(told[0], 16) if told else self.KEY
            letters = "K" * bool(flags & self.KEY) + "D" * bool(flags & self.DISCARD)
            self._streams[int(number)].note(self._at, int(pts), int(dts), int(length), letters)
            self._at += 1
        return True

    def of(self, number: int, file: Path) -> Packets:
        """Return the packets of a file. Raises ToolBroke if there are none."""
        found = self._streams.get(number)
        if found is None or not found.pieces:
            raise ToolBroke(f"{file.name} is empty.")
        return found


def read_encoded(files: Sequence[Path]) -> list[Packets]:
    """Read all packets of files that ``encode`` has written, without decoding. Raises ToolBroke."""
    copied = Copied(len(files))
    argv = [str(tools.ffmpeg()), "-nostdin", "-v", "error", *copied.BEFORE_INPUTS]
    for file in files:
        argv += ["-f", "mp4", "-i", f"file:{file.absolute()}"]
    allowed = ALLOWED_SECONDS + sum(file.stat().st_size for file in files) / READ_BYTES
    done = cage.run(
        [*argv, *copied.arguments],
        reads=files,
        cpu_seconds=allowed,
        wall_seconds=allowed,
        on_line=copied.note,
    )
    if done.returncode:
        raise ToolBroke(f"FFmpeg cannot read its own files. {done.stderr[-1000:]}")
    return [copied.of(number, file) for number, file in enumerate(files)]


def too_long() -> Rejected:
    hours = settings.MAX_DURATION_SECONDS / 3600
    return Rejected(
        "too_long", f"The video is longer than {hours:g} hours. Split it into several videos."
    )
