"""Upload → a folder that can be published as it stands."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import packager, playlists
from .encode import Encoded, encode
from .ladder import ladder
from .posters import make_poster, poster_source
from .probe import Probe, probe

OUT = "out"
# Where each step begins, in percent of the whole.
STEPS = {"probe": 0, "encode": 1, "package": 95, "poster": 99}


@dataclass(frozen=True)
class Output:
    """What ``transcode`` made. Sizes and frame rate are the video's own, as displayed.

    ``renditions``: dicts of ``name``, ``width``, ``height``, ``video_bitrate`` (measured average,
    bits per second) and ``codecs`` (RFC 6381, sound included), largest first. ``audio_codec`` is
    the source's, "" for a silent video.
    """

    directory: Path
    duration_seconds: float
    width: int
    height: int
    frame_rate: float
    renditions: list[dict]
    container: str
    video_codec: str
    audio_codec: str


def transcode(source: Path, work: Path, on_progress: Callable[[str, int], None]) -> Output:
    """Make everything players need of ``source`` under ``work/"out"``; the source is only read.

    ``work`` is an existing directory of this call alone; leftovers of an earlier one are removed.
    ``on_progress(step, percent)`` is called about twice a second with 0..100, never falling; what
    it raises stops the work, kills every process and comes through. So do Rejected (the video's
    fault, final) and ToolFailed (another attempt may succeed). On any of them ``work`` may hold
    unfinished files.
    """
    work = work.resolve()
    folders = {name: _fresh(work / name) for name in ("in", "encoded", OUT)}
    # A name of ours without extension: FFmpeg looks at names too when it guesses a format.
    upload = folders["in"] / "source"
    upload.symlink_to(source.resolve())

    on_progress("probe", 0)
    video = probe(upload)
    rungs = ladder(video.width, video.height, video.frame_rate)
    on_progress("encode", STEPS["encode"])
    encoded = encode(
        upload,
        video,
        rungs,
        folders["encoded"],
        on_percent=lambda percent: on_progress("encode", _overall(percent)),
    )
    sizes = {rung.name: path.stat().st_size for rung, path in encoded.videos}
    _publishable(encoded, folders[OUT], on_progress)
    shutil.rmtree(folders["encoded"])
    shutil.rmtree(folders["in"])
    on_progress("poster", 100)
    return _output(video, encoded, sizes, folders[OUT])


def _publishable(encoded: Encoded, out: Path, on_progress: Callable[[str, int], None]) -> None:
    """Package and take the poster, giving back disk space as early as possible."""
    on_progress("package", STEPS["package"])
    packager.package(encoded, out, on_tick=lambda: on_progress("package", STEPS["package"]))
    rendition = poster_source(encoded)
    for _, path in (*encoded.videos, *encoded.audios):
        if path != rendition:
            path.unlink()
    on_progress("poster", STEPS["poster"])
    make_poster(rendition, out, on_tick=lambda: on_progress("poster", STEPS["poster"]))


def _output(video: Probe, encoded: Encoded, sizes: dict[str, int], out: Path) -> Output:
    duration = playlists.duration_of(out / f"{encoded.videos[0][0].name}.m3u8")
    codecs = playlists.codecs_by_playlist(out / packager.MASTER)
    return Output(
        directory=out,
        duration_seconds=duration,
        width=video.width,
        height=video.height,
        frame_rate=float(video.frame_rate),
        renditions=[
            {
                "name": rung.name,
                "width": rung.width,
                "height": rung.height,
                "video_bitrate": round(sizes[rung.name] * 8 / duration),
                "codecs": codecs[f"{rung.name}.m3u8"],
            }
            for rung, _ in encoded.videos
        ],
        container=video.container,
        video_codec=video.video_codec,
        audio_codec=video.audio_tracks[0].codec if video.audio_tracks else "",
    )


def _overall(percent: int) -> int:
    """Percent of the encode as percent of the whole."""
    start, end = STEPS["encode"], STEPS["package"]
    return start + (end - start) * percent // 100


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
