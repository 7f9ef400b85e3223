"""Measuring when a source's picture and sound are shown: start, number of frames, and frame rate."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from statistics import median

from . import packets
from .clock import Clock, one_clock
from .errors import Rejected
from .ffprobe import Container, Stream
from .openings import Opening, opening
from .packets import Packets

HIGHEST_RATE = 60  # frames per second of a rendition
# Players show nothing of a video with a picture a second or less.
LOWEST_RATE = 10
COMMON_RATES = (
    *(Fraction(rate) for rate in (10, 12, 15, 20)),
    *(Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30)),
    *(Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60)),
)
BLUR = Fraction(1, 100_000)  # of a rate: less than a picture in twenty minutes
FALLBACK_RATE = Fraction(25)  # for a video of one picture
# A part of the pictures may be closer to each other than the frame rate tells, by chance.
CHANCE_SHARE = 0.2
MOST_CUT_OFF = 100
SOUND_FRAME = Fraction(1024, 44_100)  # the last frame of AAC is filled up with silence
# What may be missing at the end of a stream: a fiftieth, and in short videos half a second.
MISSING_SHARE = 0.02
MISSING_SECONDS = 0.5
# Containers that tell how long each stream is, or the whole file. FFmpeg guesses it for the others.
TELLS_OF_STREAMS = {"mov", "avi", "matroska"}
OF_TELEVISION = {"mpegts", "mpeg"}
TELLS_OF_FILE = {"flv", "asf"}


@dataclass(frozen=True)
class Timing:
    """The times of a source, exact, in seconds of its one clock.

    The video has ``frames`` pictures at ``frame_rate`` from ``start`` on, and its sound lasts as long.
    ``start`` is the first of picture and main sound, moved by at most a frame so that the first picture
    lies exactly on a frame. ``constant`` tells whether the source keeps to the frame rate.
    """

    clock: Clock
    start: Fraction
    frames: int
    frame_rate: Fraction
    constant: bool
    picture: Opening
    keyframe_gap: Fraction
    packets: int  # of the picture, from the first one that can be decoded on

    def has(self, index: int) -> bool:
        """Return whether a stream of the source has packets."""
        return self.clock.has(index)

    @property
    def duration(self) -> Fraction:
        return self.frames / self.frame_rate


def measure(source: Path, container: Container, video: Stream, sounds: Sequence[Stream]) -> Timing:
    """Read all packets of the stream ``video`` and of ``sounds``, the main one first, and return the
    source's timing. Sound streams without packets are ignored.

    Raises Rejected if no picture can be decoded or the file is cut off, and ToolFailed.
    """
    ticks = {stream["index"]: Fraction(stream["time_base"]) for stream in (video, *sounds)}
    found = packets.read(source, ticks)
    if video["index"] not in found:
        raise Rejected(
            "damaged",
            "No picture of the video can be read. Export the video again and upload it.",
        )
    picture, *tracks = (found[index] for index in ticks if index in found)
    name = container["format_name"].split(",")[0]
    clock = one_clock((picture, *tracks), name)
    _refuse_cut_off(name, container, clock, (video, *sounds))
    main = tracks[0].index if tracks else None
    first = opening(source, clock, picture.index, main, changing=name in OF_TELEVISION)
    rate, constant = _frame_rate(video, picture, first)
    start = _first_frame(first.pictures_at, rate)
    frames = max(1, round((_end(clock, picture) - start) * rate))
    if main is not None and first.sound_at is not None:
        before = _further(start - max(first.sound_at, _start(clock, tracks[0])), rate)
        after = _further(clock.end(main) - start - frames / rate, rate)
        start, frames = start - before / rate, frames + before + after
    lost = (first.pictures_at[0] - clock.start(picture.index)) * rate
    return Timing(
        clock=clock,
        start=start,
        frames=frames,
        frame_rate=rate,
        constant=constant,
        picture=first,
        keyframe_gap=picture.longest_without_keyframe,
        packets=max(1, picture.count - round(lost)),
    )


def _first_frame(times: Sequence[Fraction], rate: Fraction) -> Fraction:
    """Return when the first picture is shown, so that most of the first ones lie exactly on a frame.

    Clocks in milliseconds jitter, and fragments of MP4 may begin with a picture that is shown longer.
    """
    first = median(time - number / rate for number, time in enumerate(times))
    return first if abs(first - times[0]) < 1 / rate else times[0]


def _start(clock: Clock, sound: Packets) -> Fraction:
    """Return when the sound begins.

    A muxer that writes fragments may let the first packet last until the picture begins. Its sound is as
    long as that of the others, and belongs directly before the second one.
    """
    step = _typical_step(sound.steps)
    more = sound.first_step - step
    start = clock.start(sound.index)
    return start + more * sound.tick if step < more < 10 * step else start


def _end(clock: Clock, picture: Packets) -> Fraction:
    """Return when the last picture ends.

    A muxer that writes fragments guesses how long the last one lasts. A little more than the others is
    such a guess, and no picture that is held.
    """
    step = _typical_step(picture.steps)
    more = picture.length - step
    return clock.end(picture.index) - (more * picture.tick if 0 < more < step else 0)


def _further(seconds: Fraction, rate: Fraction) -> int:
    """Return for how many pictures more the sound lasts, at one end, by ``seconds``.

    Less than a frame, or than the filling of the first or last frame of AAC, adds none.
    """
    if seconds <= max(1 / rate, SOUND_FRAME):
        return 0
    return ceil(seconds * rate - CHANCE_SHARE)


def ratio(text: str) -> Fraction | None:
    """Return a text like "30000/1001" as a Fraction, or None unless it is a number above zero."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _frame_rate(video: Stream, picture: Packets, first: Opening) -> tuple[Fraction, bool]:
    """Return the rate at which to encode, from LOWEST_RATE to HIGHEST_RATE, and whether it is constant.

    FFmpeg's ``r_frame_rate`` is the lowest rate that the timestamps at the beginning fit. It is taken if
    the pictures keep to it; it may also be the tick of a clock, or that of fields. Otherwise the rate is
    the slowest common one that loses no picture except those that follow quickly by chance. A rate above
    HIGHEST_RATE is divided by a whole number, one below LOWEST_RATE multiplied.
    """
    typical = _typical_step(picture.steps) * picture.tick
    fitting = ratio(video.get("r_frame_rate", ""))
    if first.interlaced and first.step:  # a packet may be a field, half a picture
        typical = first.step
        if fitting and typical * fitting > Fraction(3, 2):
            fitting /= 2
    if not typical:
        rate = min(fitting or FALLBACK_RATE, Fraction(HIGHEST_RATE))
        return _fast_enough(rate), False
    if fitting and abs(typical * fitting - 1) < Fraction(1, 20) + picture.tick / typical:
        rate = _without_blur(fitting)
        constant = _share_of_odd(picture, rate) < CHANCE_SHARE / 10
    else:
        rate, constant = _common_rate(picture, typical), False
    if rate > HIGHEST_RATE:
        rate = rate / -(-rate // HIGHEST_RATE) if constant else Fraction(HIGHEST_RATE)
    return _fast_enough(rate), constant


def _without_blur(rate: Fraction) -> Fraction:
    """Return the common rate that FFmpeg sees as ``rate``, by times that are rounded to milliseconds."""
    nearest = min(COMMON_RATES, key=lambda common: abs(common - rate))
    return nearest if abs(nearest - rate) <= nearest * BLUR else rate


def _common_rate(picture: Packets, typical: Fraction) -> Fraction:
    """Return the common rate of the pictures that follow quickly, or the slowest one that is enough."""
    quick = {step: n for step, n in picture.steps.items() if step * picture.tick <= typical * 3 / 2}
    average = (
        Fraction(sum(quick.values()), sum(step * n for step, n in quick.items())) / picture.tick
    )
    nearest = min(COMMON_RATES, key=lambda rate: abs(rate - average))
    if abs(nearest - average) <= nearest / 50:
        return nearest
    needed = Fraction(97, 100) / typical
    return next((rate for rate in COMMON_RATES if rate >= needed), Fraction(HIGHEST_RATE))


def _fast_enough(rate: Fraction) -> Fraction:
    return rate * ceil(LOWEST_RATE / rate)


def _typical_step(steps: Counter[int]) -> int:
    """Return the step that only CHANCE_SHARE of the steps are shorter than; 0 if there are none."""
    left = CHANCE_SHARE * sum(steps.values())
    for step, count in sorted(steps.items()):
        left -= count
        if left < 0:
            return step
    return 0


def _share_of_odd(picture: Packets, rate: Fraction) -> float:
    """Return the share of steps that differ from one frame by more than half."""
    frame = 1 / (rate * picture.tick)
    odd = sum(count for step, count in picture.steps.items() if abs(step - frame) > frame / 2)
    return odd / sum(picture.steps.values())


def _refuse_cut_off(
    name: str, container: Container, clock: Clock, streams: Sequence[Stream]
) -> None:
    """Raise Rejected if the file ends clearly before the time that the container promises.

    MP4 lists every picture and every piece of sound, so each is compared by itself. In other containers
    a single stream may tell a wrong time, but a file that is cut off has lost the end of all of them.
    """
    known = [stream for stream in streams if clock.has(stream["index"])]
    if name == "mov":
        for number, stream in enumerate(known):
            index = stream["index"]
            there = float(clock.end(index) - clock.start(index))
            if "nb_frames" not in stream:  # fragments: the clock may have run before the first one
                there = max(there, float(clock.end(index)))
            _compare("sound" if number else "picture", _promised(stream), there)
        return
    promised = max(_promised(stream) for stream in known)
    if name in TELLS_OF_FILE and container.get("duration", "N/A") != "N/A":
        promised = float(container["duration"])
    elif name not in TELLS_OF_STREAMS:
        return
    end = max(clock.end(stream["index"]) for stream in known)
    start = min(clock.start(stream["index"]) for stream in known)
    there = float(end if name == "matroska" else end - start)
    if promised < MOST_CUT_OFF * there:  # beyond that it is a wrong header
        _compare("video", promised, there)


def _compare(what: str, promised: float, there: float) -> None:
    if promised - there > max(MISSING_SECONDS, promised * MISSING_SHARE):
        raise Rejected(
            "truncated",
            f"The {what} should last {promised:.1f} s, but its file ends after {there:.1f} s. Upload "
            "the complete file.",
        )


def _promised(stream: Stream) -> float:
    """Return how long a stream should last, in seconds; 0 if that is not known."""
    if stream.get("duration", "N/A") != "N/A":
        return float(stream["duration"])
    # Matroska, written by FFmpeg: "00:01:05.500000000".
    tag = stream.get("tags", {}).get("DURATION", "")
    if match := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", tag):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return 0.0
