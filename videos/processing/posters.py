"""A still picture that stands for the video."""

from pathlib import Path

from . import cage, tools
from .encode import Encoded
from .errors import ToolFailed

POSTER = "poster.jpg"
FIRST_SECONDS = 60
HIGHEST = 720
MOST_BYTES = 4_000_000
SECONDS_ALLOWED = 120
# A frame counts as black when nine tenths of it are.
NOT_BLACK = (
    "blackframe=amount=0:threshold=32,"
    "metadata=mode=select:key=lavfi.blackframe.pblack:value=90:function=less,"
)


def poster_source(encoded: Encoded) -> Path:
    """The largest rendition of at most 720 lines, or the smallest there is."""
    small = [path for rung, path in encoded.videos if min(rung.width, rung.height) <= HIGHEST]
    return small[0] if small else encoded.videos[-1][1]


def make_poster(rendition: Path, folder: Path, *, on_tick=None) -> Path:
    """Write ``poster.jpg`` into ``folder``: the most typical keyframe of the first minute.

    Black frames are passed over unless there is nothing else. Raises ToolFailed.
    """
    target = folder / POSTER
    for choice in (NOT_BLACK, ""):
        done = cage.run(
            _command(rendition, choice),
            reads=[rendition],
            writes=[folder],
            cwd=folder,
            cpu_seconds=SECONDS_ALLOWED,
            wall_seconds=SECONDS_ALLOWED,
            file_bytes=MOST_BYTES,
            on_tick=on_tick,
        )
        if target.is_file() and target.stat().st_size:
            return target
    raise ToolFailed(f"No poster came out ({done.returncode}). {done.stderr[-1000:]}")


def _command(rendition: Path, choice: str) -> list[str]:
    return [
        *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"),
        *("-threads", "1", "-skip_frame", "nokey", "-t", str(FIRST_SECONDS)),
        *("-i", f"file:{rendition.absolute()}"),
        *("-an", "-vf", f"{choice}thumbnail=n=30,format=yuvj420p", "-frames:v", "1"),
        *("-map_metadata", "-1", "-q:v", "4", "-f", "image2", "-update", "1", POSTER),
    ]
