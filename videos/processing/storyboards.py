"""The storyboard: small pictures of the whole video in a few files, with an index in WebVTT.

Players show them while a viewer looks for a place.
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path

from videos.presentation.cues import Cue, write

from . import cage, tools
from .encode import GOP_SECONDS, Encoded
from .errors import ToolFailed
from .posters import JFIF

logger = logging.getLogger(__name__)

FOLDER = "storyboard"
INDEX = "index.vtt"
LONG_SIDE = 160
COLUMNS = ROWS = 10
MOST_PICTURES = 600  # in six files
SECONDS_ALLOWED = 300
MOST_BYTES = 4_000_000  # of a file


def make_storyboard(
    encoded: Encoded, seconds: float, folder: Path, *, on_tick: Callable[[], None] | None = None
) -> None:
    """Write the storyboard of a video of ``seconds`` into ``folder``, from its smallest rendition.

    Only keyframes are decoded, so that it costs next to nothing. A long video has a picture at every
    few of them. A storyboard that fails is logged and left out. ``on_tick`` as in ``cage.run``.
    """
    rendition, path = encoded.videos[-1]
    scale = LONG_SIDE / max(rendition.width, rendition.height)
    width, height = (
        max(2, 2 * round(side * scale / 2)) for side in (rendition.width, rendition.height)
    )
    every = max(1, math.ceil(seconds / GOP_SECONDS / MOST_PICTURES))
    home = folder / FOLDER
    home.mkdir()
    fit = JFIF.replace("scale=", f"scale={width}:{height}:", 1)
    tile = f"select='not(mod(n,{every}))',{fit},tile={COLUMNS}x{ROWS}"
    try:
        done = cage.run(
            [
                *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"),
                *("-threads", "1", "-skip_frame", "nokey", "-i", f"file:{path.absolute()}"),
                *("-an", "-vf", tile, "-fps_mode", "passthrough", "-map_metadata", "-1"),
                *("-q:v", "5", "-f", "image2", "sprite-%d.jpg"),
            ],
            reads=[path],
            writes=[home],
            cwd=home,
            cpu_seconds=SECONDS_ALLOWED,
            wall_seconds=2 * SECONDS_ALLOWED,
            file_bytes=MOST_BYTES,
            on_tick=on_tick,
        )
        if done.returncode or not (home / "sprite-1.jpg").is_file():
            raise ToolFailed(f"FFmpeg ended with {done.returncode}. {done.stderr[-500:]}")
    except ToolFailed:
        logger.exception("There is no storyboard.")
        return
    index = _index(seconds, every * GOP_SECONDS, width, height)
    (home / INDEX).write_text(index, encoding="utf-8")


def _index(seconds: float, interval: int, width: int, height: int) -> str:
    """Return WebVTT whose cues name a picture each, by the place in its file (media fragments)."""
    end = round(seconds * 1000)
    cues = []
    for number in range(max(1, math.ceil(seconds / interval))):
        sheet, place = divmod(number, COLUMNS * ROWS)
        row, column = divmod(place, COLUMNS)
        cues.append(
            Cue(
                start=number * interval * 1000,
                end=min((number + 1) * interval * 1000, end),
                text=f"sprite-{sheet + 1}.jpg"
                f"#xywh={column * width},{row * height},{width},{height}",
            )
        )
    return write(cues)
