"""Measuring when a video's frames are displayed: duration, frame rate, and start of the picture."""

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

from . import cage, tools
from .errors import LimitReached, Rejected, ToolBroke
from .ffprobe import Container, Frame, Stream
from .formats import untrusted_input

FIRST_PACKETS = 48
FIRST_FRAMES = 32  # fewer, because frames of the last packets may depend on later packets
CPU_SECONDS = 120
WALL_SECONDS = 240
READ_BYTES = 10_000_000  # a second, at least, when a whole file is read
HIGHEST_RATE = 60  # frames per second of a rendition
COMMON_RATES = (24, 25, 30, 50, 60)
FALLBACK_RATE = Fraction(25)  # if the file names no rate


@dataclass(frozen=True)
class Timing:
    """The times of a source, in seconds.

    ``frame_rate`` is the rate at which to encode; ``constant`` tells whether the source has it from
    beginning to end. ``video_delay_seconds`` is the time from the start of the file to the first
    picture.
    """

    duration_seconds: float
    # True: of the picture. False: of the whole file, if only that is known; sound may last longer.
    of_picture: bool
    frame_rate: Fraction
    constant: bool
    thinned: bool  # the source has more frames than ``frame_rate`` keeps
    interlaced: bool
    video_delay_seconds: float


def measure(source: Path, container: Container, video: Stream, interlaced: bool) -> Timing:
    """Decode the first pictures of the stream ``video`` and return its timing.

    ``interlaced`` is True if the stream is already known to be interlaced. Raises Rejected if no
    picture can be decoded or there is no duration, and ToolFailed if ffprobe runs out of memory.
    """
    frames = _first_frames(source, video)
    times = [float(frame["best_effort_timestamp_time"]) for frame in frames if _is_timed(frame)]
    interlaced = interlaced or any(frame.get("interlaced_frame") for frame in frames)
    start = float(container.get("start_time") or 0)
    rate, constant = _frame_rate(video, times, interlaced)
    delay = round(times[0] - start, 6) if times else 0.0
    duration, of_picture = _duration(source, container, video)
    if not of_picture and 0 < delay < duration:
        duration -= delay
    return Timing(
        duration_seconds=duration,
        of_picture=of_picture,
        frame_rate=rate,
        constant=constant,
        thinned=(ratio(video.get("r_frame_rate", "")) or rate) > max(rate, Fraction(HIGHEST_RATE)),
        interlaced=interlaced,
        video_delay_seconds=delay,
    )


def ratio(text: str) -> Fraction | None:
    """Return a text like "30000/1001" as a Fraction, or None unless it is a number above zero."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _is_timed(frame: Frame) -> bool:
    return frame.get("best_effort_timestamp_time", "N/A") != "N/A"


def _first_frames(source: Path, video: Stream) -> list[Frame]:
    """Decode the first FIRST_PACKETS packets and return their pictures, at least one."""
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "json"]
    argv += ["-select_streams", str(video["index"]), "-read_intervals", f"%+#{FIRST_PACKETS}"]
    argv += ["-show_entries", "frame=best_effort_timestamp_time,interlaced_frame"]
    done = cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=CPU_SECONDS,
        wall_seconds=WALL_SECONDS,
    )
    if done.ran_out_of_memory:
        raise LimitReached("memory", f"ffprobe ran out of memory. {done.stderr[-1000:]}")
    frames: list[Frame] = []
    if not done.returncode:
        frames = json.loads(done.stdout or "{}").get("frames", [])
    if not frames and video["codec_name"] == "av1":  # FFmpeg's native decoder needs AV1 hardware
        raise Rejected(
            "unsupported_codec",
            "The video codec (av1) is not supported here. Export the video as H.264.",
        )
    if not frames:
        raise Rejected(
            "damaged",
            "No picture of the video can be decoded. Export the video again and upload it.",
        )
    return frames


def _frame_rate(video: Stream, times: list[float], interlaced: bool) -> tuple[Fraction, bool]:
    """Return the rate at which to encode, at most HIGHEST_RATE, and whether the source keeps to it.

    FFmpeg's ``r_frame_rate`` is the lowest rate that all timestamps fit, ``avg_frame_rate`` the average.
    They are equal for a constant rate, except that interlaced streams may count fields. A constant
    rate above HIGHEST_RATE is divided by a whole number. ``times`` are the first pictures' times.
    """
    fitting = ratio(video.get("r_frame_rate", ""))
    average = ratio(video.get("avg_frame_rate", ""))
    rate = fitting or average or FALLBACK_RATE
    steps = [b - a for a, b in pairwise(times[:FIRST_FRAMES])]
    if interlaced and steps and rate * Fraction(median(steps)) > Fraction(3, 2):
        rate, average = rate / 2, (average or rate) / 2
    # The average that a Matroska file states can be wrong, so the pictures are examined as well.
    even = all(abs(step * rate - 1) < 0.5 for step in steps)
    constant = even and average is not None and abs(average - rate) <= rate / 100
    if rate <= HIGHEST_RATE:
        return rate, constant
    if constant:
        return rate / -(-rate // HIGHEST_RATE), True
    # Above HIGHEST_RATE and not constant, it is the tick of a clock and no frame rate. The slowest
    # common rate that loses no frame on average is used.
    needed = (average or FALLBACK_RATE) * Fraction(99, 100)
    fast_enough = [common for common in COMMON_RATES if common >= needed]
    return Fraction(fast_enough[0] if fast_enough else HIGHEST_RATE), False


def _duration(source: Path, container: Container, video: Stream) -> tuple[float, bool]:
    """Return the duration in seconds, and whether it is that of the picture or of the whole file.

    If the file states neither, all its packets are read.
    """
    stated = ((video.get("duration", "N/A"), True), (container.get("duration", "N/A"), False))
    for duration, of_picture in stated:
        if duration != "N/A" and float(duration) > 0:
            return float(duration), of_picture
    return _duration_by_packets(source, video), True


def _duration_by_packets(source: Path, video: Stream) -> float:
    """Read all packets of the stream, and return the seconds from the first to the end of the last.

    Recordings made by browsers need this: they do not state their duration.
    """
    first, end = float("inf"), 0.0

    def note(line: str) -> bool:
        nonlocal first, end
        numbers = [part for part in line.split(",") if part not in ("", "N/A")]
        if numbers:
            start = float(numbers[0])
            first, end = min(first, start), max(end, start + sum(map(float, numbers[1:])))
        return True

    allowed = WALL_SECONDS + source.stat().st_size / READ_BYTES
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "csv=p=0"]
    argv += ["-select_streams", str(video["index"])]
    argv += ["-show_entries", "packet=pts_time,duration_time"]
    cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=allowed,
        wall_seconds=allowed,
        on_line=note,
    )
    if end - first <= 0:
        raise Rejected(
            "damaged", "The video has no duration. Export the video again and upload it."
        )
    return end - first


def length_of(file: Path) -> float:
    """Return the duration in seconds of a file that ``encode`` has written. Raises ToolFailed."""
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "csv=p=0"]
    argv += ["-show_entries", "format=duration", f"file:{file.absolute()}"]
    done = cage.run(argv, reads=[file], cpu_seconds=CPU_SECONDS, wall_seconds=WALL_SECONDS)
    if done.returncode:
        raise ToolBroke(f"ffprobe cannot read an encoded file. {done.stderr[-1000:]}")
    return float(done.stdout)
