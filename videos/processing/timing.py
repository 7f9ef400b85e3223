"""When a video's frames are shown: its length, its frame rate, and where its picture begins."""

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

from . import cage, tools
from .errors import Rejected, ToolFailed
from .formats import untrusted_input

FIRST_PACKETS = 48
FIRST_FRAMES = 32  # fewer, because the last packets' frames may wait for later ones
CPU_SECONDS = 120
WALL_SECONDS = 240
HIGHEST_RATE = 60
COMMON_RATES = (24, 25, 30, 50, 60)
FALLBACK_RATE = Fraction(25)


@dataclass(frozen=True)
class Timing:
    """``video_delay_seconds``: the first picture's time on the file's clock, which starts at 0.

    ``duration_seconds`` is the picture's where the container tells (``of_picture``); else the
    whole file's, whose sound may go on for longer.
    """

    duration_seconds: float
    of_picture: bool
    frame_rate: Fraction
    constant: bool
    thinned: bool  # the source has more frames than are kept
    interlaced: bool
    video_delay_seconds: float


def measure(source: Path, container: dict, video: dict, interlaced: bool) -> Timing:
    """Decode the first pictures and work out the timing. Rejected if there is no picture."""
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
        thinned=(ratio(video.get("r_frame_rate", "")) or rate) > max(rate, HIGHEST_RATE),
        interlaced=interlaced,
        video_delay_seconds=delay,
    )


def ratio(text: str) -> Fraction | None:
    """ "30000/1001" as a Fraction; None for "0/0" and other nonsense."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _is_timed(frame: dict) -> bool:
    return frame.get("best_effort_timestamp_time", "N/A") != "N/A"


def _first_frames(source: Path, video: dict) -> list[dict]:
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
        raise ToolFailed(f"ffprobe ran out of memory. {done.stderr[-1000:]}")
    frames = json.loads(done.stdout or "{}").get("frames", []) if not done.returncode else []
    if not frames and video["codec_name"] == "av1":  # decoders without the hardware for it
        raise Rejected("unsupported_codec", "The video codec (av1) is not supported here.")
    if not frames:
        raise Rejected("damaged", "Not one picture of the video can be decoded.")
    return frames


def _frame_rate(video: dict, times: list[float], interlaced: bool) -> tuple[Fraction, bool]:
    """The rate to encode at, and whether the source has it throughout.

    FFmpeg's ``r_frame_rate`` is the rate that all timestamps fit, ``avg_frame_rate`` what they
    average. They agree for a constant rate, except that interlaced streams may count fields.
    """
    fitting, average = (ratio(video.get(key, "")) for key in ("r_frame_rate", "avg_frame_rate"))
    rate = fitting or average or FALLBACK_RATE
    steps = [b - a for a, b in pairwise(times[:FIRST_FRAMES])]
    if interlaced and steps and rate * Fraction(median(steps)) > Fraction(3, 2):
        rate, average = rate / 2, (average or rate) / 2
    # Matroska writes down an average that need not be true: look at the pictures as well.
    even = all(abs(step * rate - 1) < 0.5 for step in steps)
    constant = even and average is not None and abs(average - rate) <= rate / 100
    if rate <= HIGHEST_RATE:
        return rate, constant
    if constant:
        return rate / -(-rate // HIGHEST_RATE), True
    # A clock's tick rather than a frame rate: the slowest common rate that loses no frame.
    needed = (average or FALLBACK_RATE) * Fraction(99, 100)
    fast_enough = [common for common in COMMON_RATES if common >= needed]
    return Fraction(fast_enough[0] if fast_enough else HIGHEST_RATE), False


def _duration(source: Path, container: dict, video: dict) -> tuple[float, bool]:
    """Seconds, and whether they are the picture's own. Read through if nothing tells."""
    for told, of_picture in ((video.get("duration"), True), (container.get("duration"), False)):
        if told not in (None, "N/A") and float(told) > 0:
            return float(told), of_picture
    return _duration_by_packets(source, video), True


def _duration_by_packets(source: Path, video: dict) -> float:
    """Browsers' recordings don't say how long they are: read them through."""
    first, end = float("inf"), 0.0

    def note(line: str) -> bool:
        nonlocal first, end
        numbers = [part for part in line.split(",") if part not in ("", "N/A")]
        if numbers:
            start = float(numbers[0])
            first, end = min(first, start), max(end, start + sum(map(float, numbers[1:])))
        return True

    argv = [str(tools.ffprobe()), "-v", "error", "-of", "csv=p=0"]
    argv += ["-select_streams", str(video["index"])]
    argv += ["-show_entries", "packet=pts_time,duration_time"]
    cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=CPU_SECONDS,
        wall_seconds=WALL_SECONDS,
        on_line=note,
    )
    if end - first <= 0:
        raise Rejected("damaged", "The video has no length.")
    return end - first


def length_of(file: Path) -> float:
    """Seconds that one of our own files lasts."""
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "csv=p=0"]
    argv += ["-show_entries", "format=duration", f"file:{file.absolute()}"]
    done = cage.run(argv, reads=[file], cpu_seconds=CPU_SECONDS, wall_seconds=WALL_SECONDS)
    if done.returncode:
        raise ToolFailed(f"ffprobe can't read our own file. {done.stderr[-1000:]}")
    return float(done.stdout)
