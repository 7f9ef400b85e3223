"""The gate before publication: every encoded file is decoded once, and must be what it is said to be."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from config import processors

from . import cage, emptiness, packets, tools
from .emptiness import Emptiness
from .encode import Encoded
from .errors import ToolBroke
from .graphs import AAC_FRAME, AUDIO_RATE

SOUND_FRAME = Fraction(AAC_FRAME, AUDIO_RATE)
FLOOR_SECONDS = 120
# By how much more a rendition may be black, or sound silent, than the source: encoding moves the edges.
EMPTY_SECONDS, EMPTY_SHARE = 1.0, 0.05
_ACCOUNT = re.compile(
    r"Input stream #(\d+):\d+ \((video|audio)\): \d+ packets read .*; (\d+) frames decoded.*; "
    r"(\d+) decode errors"
)


class Faulty(ToolBroke):
    """An encoded file is not what it should be. It is not published."""


def check(encoded: Encoded, *, seconds: float, on_tick: Callable[[], None] | None = None) -> None:
    """Decode all encoded files once, and compare them with what they should be.

    Each rendition must have every picture of the video, one after another at the frame rate, from time 0
    on; each sound track must last as long as the pictures, to one frame of AAC. The smallest rendition
    must not be black, and no sound track silent, where the source is not. ``seconds`` is how long that
    may take. Raises Faulty, which names the file and the difference in numbers.
    """
    videos = [path for _, path in encoded.videos]
    files = [*videos, *(path for _, path in encoded.audios)]
    empty = Emptiness()
    copied = packets.Copied(len(files))
    decoded = _decode(files, len(videos), empty, copied, seconds + FLOOR_SECONDS, on_tick)
    duration = encoded.frames / encoded.frame_rate
    for name, length in empty.seconds.items():
        source = encoded.empty_seconds.get(name, 0.0)
        if length - source > max(EMPTY_SECONDS, EMPTY_SHARE * float(duration)):
            what = "black" if name == "v" else "silent"
            raise Faulty(f"{name} is {what} for {length:.1f} s, and the source for {source:.1f} s.")
    for number, path in enumerate(files):
        kind, frames, errors = decoded.get(number, ("", 0, 0))
        if not kind or errors:
            raise Faulty(f"{path.name} cannot be decoded: {errors} errors.")
        stream = copied.of(number, path)
        start, end = stream.pieces[0].start, stream.pieces[-1].end
        even = len(stream.pieces) == 1 and len(stream.steps) <= 1
        if number < len(videos):
            if frames != encoded.frames:
                raise Faulty(f"{path.name} has {frames} pictures instead of {encoded.frames}.")
            if start or not even:
                raise Faulty(f"{path.name} begins at {float(start):.3f} s, or skips a picture.")
        elif abs(end - duration) > SOUND_FRAME or start > SOUND_FRAME:
            raise Faulty(
                f"{path.name} lasts from {float(start):.3f} to {float(end):.3f} s instead of "
                f"{float(duration):.3f} s."
            )


def _decode(
    files: list[Path],
    videos: int,
    empty: Emptiness,
    copied: packets.Copied,
    seconds: float,
    on_tick: Callable[[], None] | None,
) -> dict[int, tuple[str, int, int]]:
    """Decode all files, and return kind, decoded frames and errors of each by its number.

    The first ``videos`` of the files are renditions, the smallest last. The same FFmpeg copies the
    packets of all files to ``copied``.

    Blocks are not smoothed: a fifth of the work that finds no fault. One thread a file is enough where
    the files have all processors busy; more threads cost more in all.
    """
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-nostats", "-v", "verbose"]
    argv += copied.BEFORE_INPUTS
    for path in files:
        argv += ["-skip_loop_filter", "all"]
        argv += ["-threads", "1"] if processors.count() <= len(files) else []
        argv += ["-f", "mp4", "-i", f"file:{path.absolute()}"]
    maps: list[str] = []
    for number in range(len(files)):
        if number < videos - 1:
            maps += ["-map", str(number)]
            continue
        name = "v" if number < videos else f"a{number - videos}"
        detect = emptiness.black(name) if name == "v" else emptiness.silence(name)
        argv += ["-filter_complex", f"[{number}]{detect}[{name}]"]
        maps += ["-map", f"[{name}]"]
    done = cage.run(
        [*argv, *maps, "-fps_mode", "passthrough", "-f", "null", "-", *copied.arguments],
        reads=files,
        cpu_seconds=seconds * processors.count(),
        wall_seconds=seconds,
        on_line=copied.note,
        on_remark=empty.note,
        on_tick=on_tick,
    )
    if done.returncode:
        raise Faulty(f"FFmpeg cannot decode its own files. {done.stderr[-1000:]}")
    return {
        int(number): (kind, int(frames), int(errors))
        for number, kind, frames, errors in _ACCOUNT.findall(done.stderr)
    }
