"""Cutting an encode into parts that any worker can make, and joining them to exactly the whole encode.

The pictures of a video are numbered at its frame rate, and a part is a range of numbers. It begins where
the whole encode has a keyframe, so the joined file has its keyframes, pictures and times. The sound is
encoded whole: AAC needs the samples before those that it encodes.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

from django.conf import settings

from config import processors

from . import cage, encode, evening, packets, tools
from .batches import batches
from .encode import GOP_SECONDS, Encoded, NotExact
from .errors import ToolBroke
from .graphs import Part, audio_graph, video_graph
from .ladder import Rendition
from .probe import Probe

FORMAT = 1  # of the files of parts; another number makes all of them useless
MOST_PARTS = 1000
# Containers with an index of their keyframes, or a mark at each: FFmpeg comes to the right one.
CONTAINERS = {"mov", "matroska"}


@dataclass(frozen=True)
class Plan:
    """How the encode of one source is cut.

    ``signature`` is the same for two plans only if all that decides about the pictures is the same:
    source, parts, renditions, filters, settings of the encoders, and the version of FFmpeg.
    """

    parts: tuple[Part, ...]
    signature: str


def plan(source: Path, video: Probe, renditions: tuple[Rendition, ...]) -> Plan | None:
    """Return how to cut the encode of ``source``, or None if it is encoded whole.

    Short videos are, and those whose parts would not be exact: clocks with jumps, pixels whose shape
    changes, and containers in which FFmpeg does not come to the keyframe before a moment. A source with
    fewer keyframes than parts would be decoded over and over.
    """
    timing = video.timing
    if not settings.CHUNK_SECONDS or timing.duration < settings.CHUNKS_FROM_SECONDS:
        return None
    jumps = any(recording.shift for recording in timing.clock.recordings)
    if video.container not in CONTAINERS or jumps or timing.picture.aspects:
        return None
    seconds = max(Fraction(settings.CHUNK_SECONDS), timing.duration / MOST_PARTS)
    length = ceil(seconds / GOP_SECONDS) * GOP_SECONDS
    parts = _parts(timing.frames, timing.frame_rate, length)
    if len(parts) < 2 or timing.keyframe_gap > length:
        return None
    return Plan(parts, _signature(source, video, renditions, parts))


def _parts(frames: int, rate: Fraction, length: int) -> tuple[Part, ...]:
    """Return parts of ``length`` seconds; the last one has from half to one and a half times as much."""
    count = max(1, int(frames / rate / length + Fraction(1, 2)))
    begins = [*(ceil(number * length * rate) for number in range(count)), frames]
    return tuple(Part(first, end - first) for first, end in pairwise(begins))


def _signature(
    source: Path, video: Probe, renditions: tuple[Rendition, ...], parts: tuple[Part, ...]
) -> str:
    status = source.stat()
    facts: list[object] = [
        FORMAT,
        tools.ffmpeg_version(),
        status.st_size,
        status.st_mtime_ns,
        parts,
    ]
    for batch in batches(renditions):
        facts.append(video_graph(video, batch, parts[-1]))
        facts += [encode.video_encoder(rendition, video, parts[-1]) for rendition in batch]
    facts += [audio_graph(video, track, number) for number, track in enumerate(video.audio_tracks)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def encode_part(
    source: Path,
    video: Probe,
    renditions: tuple[Rendition, ...],
    part: Part,
    folder: Path,
    on_percent: Callable[[int], None],
    *,
    threads: int = 0,
) -> dict[str, float]:
    """Encode the pictures of ``part`` in all renditions into the existing, empty ``folder``.

    Returns the seconds for which they are black, by the name of the filter. Raises NotExact or
    ShapeChanged if only a whole encode can be right, and what ``encode.encode`` raises.
    """
    silent = replace(video, audio_tracks=())
    opened = evening.as_it_is(source, silent)
    empty = encode.run(opened, renditions, folder, on_percent, part=part, threads=threads)
    files = packets.read_encoded([folder / encode.video_name(each) for each in renditions])
    for rendition, file in zip(renditions, files, strict=True):
        if file.count != part.frames or len(file.steps) > 1:
            raise NotExact(f"{rendition.name} has {file.count} pictures instead of {part.frames}.")
    return dict(empty.seconds)


def encode_sound(
    source: Path, video: Probe, folder: Path, on_percent: Callable[[int], None]
) -> dict[str, float]:
    """Encode all sound tracks into the existing, empty ``folder``. Returns and raises as encode_part."""
    return dict(encode.run_sound(evening.as_it_is(source, video), folder, on_percent).seconds)


def join(
    video: Probe,
    renditions: tuple[Rendition, ...],
    parts: Sequence[tuple[Part, Path]],
    sound: Path | None,
    folder: Path,
    *,
    empty_seconds: dict[str, float],
    on_tick: Callable[[], None],
) -> Encoded:
    """Join the files of all parts, in their folders, and return the files as ``encode`` would.

    Nothing is encoded. Raises ToolFailed.
    """
    joined = []
    for rendition in renditions:
        name = encode.video_name(rendition)
        _join(video, [(part, beside / name) for part, beside in parts], folder, name, on_tick)
        joined.append((rendition, folder / name))
    audios = []
    for number, track in enumerate(video.audio_tracks):
        name = encode.audio_name(number)
        if sound is not None:
            shutil.copyfile(sound / name, folder / name)
            audios.append((track, folder / name))
    return Encoded(
        videos=tuple(joined),
        audios=tuple(audios),
        frames=video.timing.frames,
        frame_rate=video.frame_rate,
        empty_seconds=empty_seconds,
    )


def _join(
    video: Probe,
    files: list[tuple[Part, Path]],
    folder: Path,
    name: str,
    on_tick: Callable[[], None],
) -> None:
    listed = folder / "parts.txt"
    listed.write_text(_list(files, video.frame_rate), encoding="utf-8")
    seconds = encode.seconds_allowed(video)
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += ["-protocol_whitelist", "file", "-f", "concat", "-safe", "0", "-i", f"file:{listed}"]
    done = cage.run(
        [*argv, "-map", "0:v", "-c", "copy", "-movflags", "+faststart", "-f", "mp4", name],
        reads=[listed, *(path for _, path in files)],
        writes=[folder],
        cwd=folder,
        cpu_seconds=seconds * processors.count(),
        wall_seconds=seconds,
        file_bytes=sum(path.stat().st_size for _, path in files) * 2 + 64 * 1024 * 1024,
        on_tick=on_tick,
    )
    listed.unlink()
    if done.returncode:
        raise ToolBroke(f"FFmpeg cannot join its own files. {done.stderr[-1000:]}")


def _list(files: list[tuple[Part, Path]], rate: Fraction) -> str:
    """Return the list that FFmpeg's demuxer concat reads.

    Its times are in microseconds, so each length is that between two rounded times: no error adds up.
    """
    lines = ["ffconcat version 1.0"]
    for part, path in files:
        first, end = (
            round(number / rate * 10**6) for number in (part.first, part.first + part.frames)
        )
        quoted = str(path.absolute()).replace("'", r"'\''")
        lines += [f"file 'file:{quoted}'", f"duration {(end - first) / 10**6:.6f}"]
    return "\n".join(lines) + "\n"
