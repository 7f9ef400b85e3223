"""From a source to a folder that can be published as it is: probe, encode, check, package, poster."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from django.conf import settings

from . import extras, gate, packager, playlists
from .encode import Encoded, encode, seconds_allowed, too_much_output
from .errors import ToolFailed
from .ladder import Rendition, ladder
from .posters import make_poster, poster_source
from .probe import Probe, probe
from .storyboards import make_storyboard

if TYPE_CHECKING:
    from .growing import Growing

OUT = "out"
# Encodes a source in chunks, as ``encode`` does, or returns None if it must be encoded whole.
InChunks = Callable[
    [Path, Probe, tuple[Rendition, ...], Path, Callable[[int], None]], Encoded | None
]
# The percentage of the whole work at which each step begins.
STEPS = {"probe": 0, "encode": 1, "check": 90, "package": 96, "poster": 99}


class RenditionDetails(TypedDict):
    """One rendition as Video.renditions stores it and the API shows it.

    ``video_bitrate`` is the measured average in bits per second, without sound. ``codecs`` is as in
    RFC 6381, with sound.
    """

    name: str
    width: int
    height: int
    video_bitrate: int
    codecs: str


@dataclass(frozen=True)
class Output:
    """The result of ``transcode``: a finished version in ``directory``, and its properties.

    Size and frame rate are those of the source as displayed. ``container`` and the codecs are the
    source's; ``audio_codec`` is "" for a silent video. ``renditions`` has the largest first, and all of
    the ladder if the version ``is_full``.
    """

    directory: Path
    duration_seconds: float
    width: int
    height: int
    frame_rate: float
    renditions: list[RenditionDetails]
    container: str
    video_codec: str
    audio_codec: str
    segment_seconds: float = packager.SEGMENT_SECONDS  # on average
    is_full: bool = True


def rest_at_own_speed(elapsed: float, done: float, percent: float) -> float:
    """Return the seconds that a run still takes, at its speed so far.

    It did ``done`` percent (not 0) of the work in ``elapsed`` seconds, and is at ``percent`` of all.
    """
    return max(0.0, elapsed) * (100 - percent) / done


def transcode(
    source: Path,
    work: Path,
    on_progress: Callable[[str, int], None],
    growing: "Growing | None" = None,
    in_chunks: InChunks | None = None,
) -> Output:
    """Make a version of ``source`` in ``work/out``: renditions, sound tracks, playlists and poster.

    The source is only read. ``work`` is an existing directory that only this call uses; files that an
    earlier call left in it are removed. ``on_progress(step, percent)`` is called about twice a second
    with 0 to 100, never falling; an exception in it stops the work, kills all processes and is passed
    on.

    With ``growing`` only the smallest rendition is made, and published while it is being encoded. With
    ``in_chunks`` other workers may take a part in the encode.

    Raises Rejected if the file is at fault, and ToolFailed if another attempt may succeed. After any
    exception ``work`` may hold unfinished files.
    """
    work = work.resolve()
    folders = {name: _fresh(work / name) for name in ("in", "encoded", OUT)}
    # A fixed name without extension, because FFmpeg also guesses the format by the file's name.
    upload = folders["in"] / "source"
    upload.symlink_to(source.resolve())

    before = _identity(source)
    on_progress("probe", 0)
    video = probe(upload)
    whole = ladder(video.width, video.height, video.frame_rate, settings.LADDER_CODECS)
    renditions = whole[-1:] if growing else whole
    on_progress("encode", STEPS["encode"])
    try:
        encoded = _encode_and_check(
            upload, video, renditions, folders["encoded"], on_progress, growing, in_chunks
        )
    except gate.Faulty:
        # Once more, and whole: a fault of memory or of the disk does not come again, one of the encoder
        # does.
        folders["encoded"] = _fresh(folders["encoded"])
        encoded = _encode_and_check(
            upload,
            video,
            renditions,
            folders["encoded"],
            _never_falling(on_progress),
            growing,
        )
    if growing:
        growing.complete()
    sizes = {rendition.name: path.stat().st_size for rendition, path in encoded.videos}
    _package(encoded, folders[OUT], on_progress)
    extras.take_out(
        upload, encoded, folders[OUT], on_tick=lambda: on_progress("poster", STEPS["poster"])
    )
    _refuse_segments(video, encoded, folders[OUT])
    if _identity(source) != before:
        raise ToolFailed("The source has changed while it was processed.")
    shutil.rmtree(folders["encoded"])
    shutil.rmtree(folders["in"])
    on_progress("poster", 100)
    made = _output(video, encoded, sizes, folders[OUT])
    return replace(made, is_full=renditions == whole)


def _encode_and_check(
    upload: Path,
    video: Probe,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_progress: Callable[[str, int], None],
    growing: "Growing | None",
    in_chunks: InChunks | None = None,
) -> Encoded:
    """Encode all renditions and sound tracks, and decode each once. Raises gate.Faulty."""
    reached = 0

    def on_percent(percent: int) -> None:
        nonlocal reached
        reached = max(reached, percent)  # a whole encode may follow one in chunks
        on_progress("encode", _overall(reached))
        if growing:
            growing.follow(folder, video, renditions[0], percent)

    def tick() -> None:
        on_progress("check", STEPS["check"])

    container = growing.container if growing else None
    encoded = in_chunks(upload, video, renditions, folder, on_percent) if in_chunks else None
    if encoded is None:
        encoded = encode(
            upload, video, renditions, folder, on_percent=on_percent, container=container
        )
    tick()
    gate.check(encoded, seconds=seconds_allowed(video), on_tick=tick)
    return encoded


def _never_falling(on_progress: Callable[[str, int], None]) -> Callable[[str, int], None]:
    """Return ``on_progress`` for a second encode, which stays where the first one ended."""
    return lambda step, percent: on_progress(step, max(percent, STEPS["check"]))


def _package(encoded: Encoded, out: Path, on_progress: Callable[[str, int], None]) -> None:
    """Package the encoded files and make the poster.

    The encoded files are removed as soon as they are packaged, to free their disk space.
    """
    on_progress("package", STEPS["package"])
    packager.package(encoded, out, on_tick=lambda: on_progress("package", STEPS["package"]))
    make_storyboard(
        encoded,
        float(encoded.frames / encoded.frame_rate),
        out,
        on_tick=lambda: on_progress("package", STEPS["package"]),
    )
    of_poster = poster_source(encoded)
    for _, path in (*encoded.videos, *encoded.audios):
        if path != of_poster:
            path.unlink()
    on_progress("poster", STEPS["poster"])
    make_poster(of_poster, out, on_tick=lambda: on_progress("poster", STEPS["poster"]))


def _refuse_segments(video: Probe, encoded: Encoded, out: Path) -> None:
    """Raise Rejected if there are more segments than a video of this length has."""
    files = len(encoded.videos) + len(encoded.audios)
    most = int(video.duration_seconds / packager.SEGMENT_SECONDS + 3) * files
    if sum(1 for _ in out.glob("*/*.m4s")) > most:
        raise too_much_output()


def _identity(source: Path) -> tuple[int, int, int]:
    status = source.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _output(video: Probe, encoded: Encoded, sizes: dict[str, int], out: Path) -> Output:
    duration = float(encoded.frames / encoded.frame_rate)
    codecs = playlists.codecs_by_playlist(out / packager.MASTER)
    return Output(
        directory=out,
        duration_seconds=round(duration, 6),
        width=video.width,
        height=video.height,
        frame_rate=float(video.frame_rate),
        renditions=[
            {
                "name": rendition.name,
                "width": rendition.width,
                "height": rendition.height,
                "video_bitrate": round(sizes[rendition.name] * 8 / duration),
                "codecs": codecs[f"{rendition.name}.m3u8"],
            }
            for rendition, _ in encoded.videos
        ],
        container=video.container,
        video_codec=video.video_codec,
        audio_codec=video.audio_tracks[0].codec if video.audio_tracks else "",
    )


def _overall(percent: int) -> int:
    """Return the percentage of the whole work that ``percent`` of the encode stands for."""
    start, end = STEPS["encode"], STEPS["check"]
    return start + (end - start) * percent // 100


def _fresh(folder: Path) -> Path:
    """Make ``folder`` an existing, empty folder and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
