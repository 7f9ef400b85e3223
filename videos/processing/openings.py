"""Decoding the first pictures and the first sound of a source: what it really looks like, and when."""

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

from . import cage, tools
from .clock import Clock
from .errors import LimitReached, Rejected, ToolBroke
from .formats import untrusted_input

PICTURES = 32
MOST_ASPECTS = 40  # changes of the pixels' shape; more are noise
CPU_SECONDS = 120
WALL_SECONDS = 240
READ_BYTES = 1_000_000  # a second, at least, when all keyframes are decoded
# The lines of FFmpeg's filters showinfo and ashowinfo that are read.
_TICK = re.compile(r"showinfo@v @ .* config in time_base: (\d+/\d+)")
_PICTURE = re.compile(
    r"showinfo@v @ .* n: *\d+ pts: *(-?\d+) .* fmt:(\S+) .*sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(.)"
)
_COLOR = re.compile(r"showinfo@v @ .* color_range:(\S+) color_space:(\S+) .*color_trc:(\S+)")
_SOUND = re.compile(r"showinfo@a @ .* n:\d+ pts:(-?\d+) .* rate:(\d+) ")


@dataclass(frozen=True)
class Opening:
    """The beginning of a source, decoded.

    ``pictures_at`` are the times of the first pictures, in order, and ``sound_at`` is that of the first
    sound, in seconds by the source's one clock; ``sound_at`` is None without sound. ``width`` and
    ``height`` are upright, in the source's own pixels, each ``aspect`` times as wide as high. Colours
    have FFmpeg's names, "unknown" if untagged.
    """

    pictures_at: tuple[Fraction, ...]
    sound_at: Fraction | None
    width: int
    height: int
    aspect: Fraction
    interlaced: bool
    color_matrix: str
    color_transfer: str
    # From when on the pixels have another shape, as television changes between 16:9 and 4:3.
    aspects: tuple[tuple[Fraction, Fraction], ...] = ()

    @property
    def step(self) -> Fraction | None:
        """The typical time between two pictures, or None with only one."""
        steps = [later - earlier for earlier, later in pairwise(self.pictures_at)]
        return Fraction(median(steps)) if steps else None


@dataclass(frozen=True)
class FirstPicture:
    """A decoded picture: when it is shown, and its shape."""

    at: Fraction
    width: int
    height: int
    aspect: Fraction


def first_picture(remarks: str) -> FirstPicture | None:
    """Return the first picture that the filter showinfo@v tells of in FFmpeg's remarks, if it does."""
    tick, picture = _TICK.search(remarks), _PICTURE.search(remarks)
    if not tick or not picture:
        return None
    return FirstPicture(
        at=int(picture[1]) * Fraction(tick[1]),
        width=int(picture[5]),
        height=int(picture[6]),
        aspect=_aspect(picture),
    )


def opening(
    source: Path, clock: Clock, video: int, sound: int | None, *, changing: bool
) -> Opening:
    """Decode the first PICTURES pictures of the stream ``video``, and the first sound of ``sound``.

    ``changing``: also decode the keyframes of the whole stream, and find where the pixels change.

    Raises Rejected if there is no picture, and ToolFailed.
    """
    filters = f"[0:{video}]trim=end_frame={PICTURES},showinfo@v=checksum=0"
    remarks = _decode(source, clock, filters)
    pictures = list(_PICTURE.finditer(remarks))
    tick = _TICK.search(remarks)
    if not pictures or not tick:
        raise Rejected(
            "damaged",
            "No picture of the video can be decoded. Export the video again and upload it.",
        )
    first, color = pictures[0], _COLOR.search(remarks)
    heard = None
    if sound is not None:  # by itself, because the two filters would write into each other's lines
        heard = _SOUND.search(_decode(source, clock, f"[0:{sound}]atrim=end_sample=1,ashowinfo@a"))
    return Opening(
        pictures_at=tuple(sorted({int(match[1]) * Fraction(tick[1]) for match in pictures})),
        sound_at=Fraction(int(heard[1]), int(heard[2])) if heard else None,
        width=int(first[5]),
        height=int(first[6]),
        aspect=_aspect(first),
        interlaced=any(match[7] in "TB" for match in pictures),
        color_matrix=color[2] if color else "unknown",
        color_transfer=color[3] if color else "unknown",
        aspects=_aspects(source, clock, video) if changing else (),
    )


def _aspects(source: Path, clock: Clock, video: int) -> tuple[tuple[Fraction, Fraction], ...]:
    """Decode the keyframes, and return from when on the pixels have which shape; () if always one."""
    remarks = _decode(source, clock, f"[0:{video}]showinfo@v=checksum=0", keyframes=True)
    tick = _TICK.search(remarks)
    found: list[tuple[Fraction, Fraction]] = []
    for match in _PICTURE.finditer(remarks):
        aspect = Fraction(int(match[3]) or 1, int(match[4]) or 1)
        if tick and (not found or found[-1][1] != aspect):
            found.append((int(match[1]) * Fraction(tick[1]), aspect))
    return tuple(found) if 1 < len(found) <= MOST_ASPECTS else ()


def _aspect(picture: re.Match[str]) -> Fraction:
    """Return how many times as wide as high a pixel is; unknown is square."""
    return Fraction(int(picture[3]), int(picture[4]) or 1) if picture[3] != "0" else Fraction(1)


def _decode(source: Path, clock: Clock, filters: str, *, keyframes: bool = False) -> str:
    """Decode as much as ``filters`` let through, and return the lines of them that are read here.

    Raises ToolBroke if FFmpeg cannot even open the source, which ffprobe has read.
    """
    lines: list[str] = []
    opened = False

    def note(remark: str) -> None:
        nonlocal opened
        opened = opened or remark.startswith("Input #0")
        if any(pattern.search(remark) for pattern in (_TICK, _PICTURE, _COLOR, _SOUND)):
            lines.append(remark)

    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-nostats", "-v", "info"]
    argv += ["-skip_frame", "nokey"] if keyframes else []
    argv += [*clock_arguments(clock), *untrusted_input(source, look=not keyframes)]
    argv += ["-filter_complex", f"{filters}[o]"]
    done = cage.run(
        [*argv, "-map", "[o]", "-fps_mode", "passthrough", "-f", "null", "-"],
        reads=[source],
        cpu_seconds=CPU_SECONDS + source.stat().st_size / READ_BYTES,
        wall_seconds=WALL_SECONDS + source.stat().st_size / READ_BYTES,
        on_remark=note,
    )
    if done.returncode and not opened:
        raise ToolBroke(f"FFmpeg ended with {done.returncode}. {done.stderr[-1000:]}")
    if done.ran_out_of_memory:
        raise LimitReached("memory", f"FFmpeg ran out of memory. {done.stderr[-1000:]}")
    return "\n".join(lines)


def clock_arguments(clock: Clock) -> list[str]:
    """Return FFmpeg's input arguments with which the times of a source are those of its one clock."""
    argv = ["-copyts"]
    indexes = {index for recording in clock.recordings for index in recording.pieces}
    for index in sorted(indexes):
        before, terms = Fraction(0), []
        for number, shift in clock.shifts(index):
            if shift != before:
                terms.append(f"gte(N,{number})*round({float(shift - before):.9f}/TB)")
            before = shift
        if terms:
            sum_ = "+".join(terms)
            pts, dts = (f"if(eq({time},NOPTS),NOPTS,{time}+{sum_})" for time in ("PTS", "DTS"))
            argv += [f"-bsf:{index}", f"setts=pts='{pts}':dts='{dts}'"]
    return argv
