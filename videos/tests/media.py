"""Tiny videos for tests, made by the FFmpeg that the pipeline uses."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path

from videos.processing import tools
from videos.processing.synthesis import synthesise


def make_clip(
    path: Path,
    *,
    seconds: float = 2,
    size: str = "320x180",
    rate: Fraction | float | str = 25,
    audio: bool = True,
) -> Path:
    """A moving test picture with a tone, H.264 and AAC in MP4."""
    return synthesise(path, seconds=seconds, size=size, rate=rate, audio=audio)


def ffmpeg(*arguments: object, cwd: Path | None = None) -> None:
    """Run FFmpeg for a clip of a special kind."""
    subprocess.run(
        [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-y", *map(str, arguments)],
        check=True,
        capture_output=True,
        cwd=cwd,
    )


def ffprobe(path: Path, *arguments: str) -> dict:
    """Return ffprobe's report about a file."""
    done = subprocess.run(
        [str(tools.ffprobe()), "-v", "error", "-of", "json", *arguments, str(path)],
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout)


def picture(*, seconds: float = 2, size: str = "320x180", rate: object = 25) -> list[str]:
    """FFmpeg's input arguments for a moving test picture."""
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]


def tone(*, seconds: float = 2, offset: float = 0, frequency: int = 440) -> list[str]:
    """FFmpeg's input arguments for a tone that begins ``offset`` seconds into the video."""
    source = f"sine=frequency={frequency}:duration={seconds}"
    return ["-itsoffset", str(offset), "-f", "lavfi", "-i", source]


def h264(*extra: str) -> list[str]:
    return ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *extra]


def frame_count(path: Path) -> int:
    """Frames of the first video stream, decoded and counted."""
    report = ffprobe(
        path, "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames"
    )
    return int(report["streams"][0]["nb_read_frames"])


def keyframe_times(path: Path) -> list[float]:
    report = ffprobe(path, "-select_streams", "v:0", "-show_entries", "packet=pts_time,flags")
    return sorted(
        float(packet["pts_time"]) for packet in report["packets"] if "K" in packet["flags"]
    )
