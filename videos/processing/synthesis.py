"""Synthetic videos, a moving test picture with a tone, for demonstrations and tests."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from . import cage, tools
from .errors import ToolFailed


def synthesise(
    path: Path,
    *,
    seconds: float,
    size: str = "1920x1080",
    rate: Fraction | float | str = 30,
    audio: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> Path:
    """Write an H.264 and AAC video of ``seconds`` as MP4 to ``path``, and return ``path``.

    ``rate`` is in frames per second, and may be text like "30000/1001". ``on_progress`` is called with
    0 to 100 percent about twice a second. Raises ToolFailed.
    """
    percent = 0

    def note(line: str) -> bool:
        nonlocal percent
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.isdigit():
            percent = min(100, int(int(value) / 1e4 / seconds))
        return True

    done = cage.run(
        _command(path, seconds=seconds, size=size, rate=rate, audio=audio),
        writes=[path.parent],
        cpu_seconds=600 + 60 * seconds,
        wall_seconds=600 + 60 * seconds,
        file_bytes=int(64_000_000 + seconds * 5_000_000),
        on_line=note,
        on_tick=(lambda: on_progress(percent)) if on_progress else None,
    )
    if done.returncode:
        raise ToolFailed(f"FFmpeg wrote no video ({done.returncode}). {done.stderr[-1000:]}")
    return path


def _command(
    path: Path, *, seconds: float, size: str, rate: Fraction | float | str, audio: bool
) -> list[str]:
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-nostats"]
    argv += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    if audio:
        argv += ["-f", "lavfi", "-i", f"sine=frequency=440:beep_factor=4:duration={seconds}"]
        argv += ["-c:a", "aac", "-b:a", "96k"]
    argv += ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p"]
    return [*argv, "-movflags", "+faststart", "-f", "mp4", f"file:{path.absolute()}"]
