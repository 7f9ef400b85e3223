"""The poster: a still picture of the video."""

from collections.abc import Callable
from pathlib import Path

from . import cage, tools
from .encode import Encoded
from .errors import ToolBroke

POSTER = "poster.jpg"
FIRST_SECONDS = 60
SHORT_SIDE_MAX = 720
MOST_BYTES = 4_000_000
SECONDS_ALLOWED = 120
# A JPEG file is in the colours of JFIF, the renditions are in those of television.
JFIF = "scale=in_color_matrix=bt709:out_color_matrix=bt601:in_range=tv:out_range=pc,format=yuvj420p"
# Selects the frames of which less than nine tenths are black.
NOT_BLACK = (
    "blackframe=amount=0:threshold=32,"
    "metadata=mode=select:key=lavfi.blackframe.pblack:value=90:function=less,"
)


def poster_source(encoded: Encoded) -> Path:
    """Return the largest rendition with a short side of at most 720, or else the smallest one."""
    small = [
        path
        for rendition, path in encoded.videos
        if min(rendition.width, rendition.height) <= SHORT_SIDE_MAX
    ]
    return small[0] if small else encoded.videos[-1][1]


def make_poster(
    rendition: Path, folder: Path, *, on_tick: Callable[[], None] | None = None
) -> Path:
    """Write ``poster.jpg`` into ``folder`` and return its path.

    It is a typical keyframe of the first minute, chosen by FFmpeg's filter ``thumbnail``; a black one
    only if there is no other. ``on_tick`` as in ``cage.run``. Raises ToolFailed.
    """
    target = folder / POSTER
    for selection in (NOT_BLACK, ""):
        done = cage.run(
            _command(rendition, selection),
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
    raise ToolBroke(f"FFmpeg wrote no poster ({done.returncode}). {done.stderr[-1000:]}")


def _command(rendition: Path, selection: str) -> list[str]:
    return [
        *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"),
        *("-threads", "1", "-skip_frame", "nokey", "-t", str(FIRST_SECONDS)),
        *("-i", f"file:{rendition.absolute()}"),
        *("-an", "-vf", f"{selection}thumbnail=n=30,{JFIF}", "-frames:v", "1"),
        *("-map_metadata", "-1", "-q:v", "4", "-f", "image2", "-update", "1", POSTER),
    ]
