"""Random pairs: two short clips of random kinds, joined, cut and shifted.

Nobody writes down the truth about a pair. Instead, the input itself is decoded, without regard to its
clocks: the pictures and beeps that are found there must be in the finished version.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from hypothesis import strategies

from videos.processing.pipeline import Output

from . import pattern
from .make import AAC, TS, concat, ffmpeg, h264, joined, pictures, sound
from .played import Decoded, Played, decode

SECOND = 2000  # the number of the first picture of the second clip
SEAM = 3  # pictures that a join or a cut may damage


@dataclass(frozen=True)
class Clip:
    """One of the two clips. ``layout`` is "" for a silent one."""

    size: str
    rate: int
    tenths: int  # of seconds
    bframes: int
    layout: str
    samples: int  # a second

    @property
    def frames(self) -> int:
        return self.tenths * self.rate // 10


@dataclass(frozen=True)
class Pair:
    """How two clips become one input: ``gap`` is between their clocks, cuts are in bytes."""

    first: Clip
    second: Clip
    join: str
    gap: float
    cut_start: int
    cut_end: int


clips = strategies.builds(
    Clip,
    size=strategies.sampled_from(("320x180", "640x360", "480x270")),
    rate=strategies.sampled_from((10, 15, 24, 25, 30, 50, 60)),
    tenths=strategies.integers(8, 30),
    bframes=strategies.sampled_from((0, 2)),
    layout=strategies.sampled_from(("stereo", "stereo", "mono", "5.1", "")),
    samples=strategies.sampled_from((48_000, 48_000, 44_100)),
)
pairs = strategies.builds(
    Pair,
    first=clips,
    second=clips,
    join=strategies.sampled_from(("ts", "ts", "ts in mkv", "webm")),
    gap=strategies.sampled_from((0, 0, 0, 0.1, 1, -1, 30, -30, 3600)),
    cut_start=strategies.sampled_from((0, 0, 1, 188, 5000, 20_000)),
    cut_end=strategies.sampled_from((0, 0, 1, 188, 5000)),
)


def make(pair: Pair, to: Path) -> None:
    """Write the input. Cuts are made in transport streams alone, which promise no duration."""
    parts, at = [], 10_000.0
    for number, clip in enumerate((pair.first, pair.second)):
        parts.append(to.with_name(f"{number}.part"))
        _write(clip, parts[-1], at, SECOND * number, pair)
        at += clip.tenths / 10 + pair.gap
    if pair.join == "webm":
        concat(to, parts, "-f", "webm")
        return
    stream = to.with_name("joined.ts") if "mkv" in pair.join else to
    joined(stream, *parts)
    data = stream.read_bytes()
    stream.write_bytes(data[pair.cut_start : len(data) - pair.cut_end])
    if "mkv" in pair.join:
        ffmpeg("-i", stream, "-map", 0, "-c", "copy", "-f", "matroska", to)


def _write(clip: Clip, to: Path, at: float, first: int, pair: Pair) -> None:
    arguments = pictures(clip.frames, clip.rate, clip.size, first)
    if clip.layout:
        arguments += sound(clip.tenths / 10, rate=clip.samples, layout=clip.layout)
    if pair.join == "webm":
        arguments += ["-c:v", "libvpx", "-threads", 1, "-deadline", "realtime", "-cpu-used", 8]
        ffmpeg(*arguments, "-b:v", "2M", "-c:a", "libopus", "-f", "webm", to)
    else:
        # The header of Matroska describes AAC once, for the whole file; AC-3 describes itself.
        coded = ["-c:a", "ac3"] if "mkv" in pair.join else AAC
        ffmpeg(*arguments, *h264(bframes=clip.bframes), *coded, "-output_ts_offset", at, *TS, to)


def faults(pair: Pair, source: Path, played: Played, output: Output) -> list[str]:
    """Return what was in the input and is not in the finished version, each as a sentence."""
    content = source.read_bytes()
    there = decode(content, "video")
    _, shown = played.videos[0]
    found = []
    seconds = 0.0
    for name, clip, first in (("first", pair.first, 0), ("second", pair.second, SECOND)):
        numbers = _numbers(there, first, clip)
        missing = sorted(numbers - _numbers(shown, first, clip))
        seconds += len(numbers) / clip.rate
        most = len(numbers) * max(0.0, 1 - float(shown.rate / Fraction(clip.rate))) * 1.1 + SEAM
        if len(missing) > most:
            found.append(
                f"{len(missing)} of {len(numbers)} pictures of the {name} clip are missing: "
                f"{missing[0]} to {missing[-1]}."
            )
    if output.duration_seconds < seconds - 0.2:
        found.append(f"It lasts {output.duration_seconds:.3f} s, and its pictures {seconds:.3f} s.")
    if pair.first.layout or pair.second.layout:
        found += _silenced(content, played)
    return found


def _numbers(decoded: Decoded, first: int, clip: Clip) -> set[int]:
    """Return the numbers of a clip's pictures that can be read."""
    read = (pattern.read_picture(frame) for frame in decoded.frames)
    own = range(first, first + clip.frames)
    return {
        seen.number
        for seen in read
        if seen.number in own and seen.number is not None and seen.corners == pattern.UPRIGHT
    }


def _silenced(content: bytes, played: Played) -> list[str]:
    try:
        there = decode(content, "audio").heard
    except AssertionError:  # the sound of the second clip was not found, or was cut off
        return []
    heard = played.audios[0][1].heard if played.audios else None
    if there is None or not there.beeps:
        return []
    if heard is None:
        return ["Its sound is missing."]
    found = []
    if len(heard.beeps) < len(there.beeps) - 1:
        found.append(f"It beeps {len(heard.beeps)} times instead of {len(there.beeps)} times.")
    lost = there.seconds_heard - heard.seconds_heard
    if lost > 0.4:
        found.append(f"{lost:.2f} of {there.seconds_heard:.2f} s of sound are missing.")
    return found
