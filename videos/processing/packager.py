"""Packaging the encoded MP4 files into one set of CMAF segments for both HLS and DASH players.

Shaka Packager reads only files that ``encode`` has written, never the untrusted source.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from . import cage, playlists, tools
from .encode import SHORTEST_SEGMENT_SECONDS, Encoded
from .errors import ToolBroke, ToolFailed
from .languages import UNDETERMINED
from .playlists import MANIFEST
from .probe import AudioTrack

MASTER = "master.m3u8"
SEGMENT_SECONDS = 4
AUDIO_GROUP = "audio"


def package(
    encoded: Encoded,
    folder: Path,
    *,
    on_tick: Callable[[], None] | None = None,
    segment_seconds: float = SEGMENT_SECONDS,
) -> None:
    """Write ``master.m3u8``, ``manifest.mpd``, media playlists and segments into ``folder``.

    A segment ends at the first keyframe after a multiple of ``segment_seconds``. All addresses in the
    playlists are relative. ``on_tick`` as in ``cage.run``. Raises ToolFailed.
    """
    files = [path for _, path in (*encoded.videos, *encoded.audios)]
    size = sum(path.stat().st_size for path in files)
    allowance = 120 + size / 1_000_000
    done = cage.run(
        command(encoded, segment_seconds),
        reads=files,
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowance,
        wall_seconds=2 * allowance,
        file_bytes=size + 1_000_000,
        on_tick=on_tick,
    )
    if not done.returncode:
        for number, (track, _) in enumerate(encoded.audios, 1):
            playlists.join_short_end(folder, _audio_folder(number, track), SHORTEST_SEGMENT_SECONDS)
    if done.returncode or not (folder / MASTER).exists() or not (folder / MANIFEST).exists():
        raise ToolBroke(f"Packager ended with {done.returncode}. {done.stderr[-2000:]}")


def command(encoded: Encoded, segment_seconds: float = SEGMENT_SECONDS) -> list[str]:
    """Return Shaka Packager's arguments. The outputs are relative to its working directory."""
    argv = [str(tools.packager())]
    for rendition, path in encoded.videos:
        stream = descriptor(path, "video", rendition.name)
        argv.append(f"{stream},iframe_playlist_name={rendition.name}-iframe.m3u8")
    tracks = zip(encoded.audios, audio_names([t for t, _ in encoded.audios]), strict=True)
    for number, ((track, path), name) in enumerate(tracks, 1):
        stream = descriptor(path, "audio", _audio_folder(number, track))
        argv.append(f"{stream},hls_group_id={AUDIO_GROUP},hls_name={name}{_spoken(track)}")
    if encoded.audios and encoded.audios[0][0].language != UNDETERMINED:
        argv += ["--default_language", encoded.audios[0][0].language]
    return [*argv, *outputs(segment_seconds)]


def outputs(segment_seconds: float) -> list[str]:
    """Return the arguments that all sets of segments have in common."""
    argv = ["--segment_duration", str(segment_seconds), "--hls_playlist_type", "VOD"]
    # By default it keeps 32 MB of address space for each file, and reaches the cage's limit with twenty.
    argv += ["--io_cache_size", str(2 * 1024 * 1024), "--io_block_size", str(64 * 1024)]
    # An index in a segment would no longer fit it when the next one is joined to it.
    argv += ["--generate_sidx_in_media_segments=false", "--hls_master_playlist_output", MASTER]
    return [
        *argv,
        "--mpd_output",
        MANIFEST,
        "--generate_static_live_mpd",
        "--generate_sidx_in_media_segments=false",
    ]


def _audio_folder(number: int, track: AudioTrack) -> str:
    return f"audio-{number}-{track.language}"


def audio_names(tracks: Sequence[AudioTrack]) -> list[str]:
    """Return a unique name for each sound track, as players show it: its title, or its language."""
    names: list[str] = []
    for number, track in enumerate(tracks, 1):
        name = track.title or ("Main" if track.language == UNDETERMINED else track.language)
        while name in names:  # also a title that looks like a number given here
            name = f"{name} {number}"
        names.append(name)
    return names


def _spoken(track: AudioTrack) -> str:
    return "" if track.language == UNDETERMINED else f",language={track.language}"


def descriptor(path: Path, kind: str, directory: str) -> str:
    """Return the stream descriptor of one input file.

    Raises ToolFailed for a path with a comma: Packager splits descriptors at commas and has no way
    to quote one.
    """
    if "," in str(path):
        raise ToolFailed("MEDIA_DIR has a comma in its path, which Shaka Packager cannot handle.")
    return (
        f"in={path},stream={kind},init_segment={directory}/init.mp4,"
        f"segment_template={directory}/$Number$.m4s,playlist_name={directory}.m3u8"
    )
