"""Common encryption (ISO/IEC 23001-7, scheme cbcs) of packaged segments, by Shaka Packager.

It reads only what it has written itself before: the init segment and the segments of a track, joined to
one file. Pictures and samples stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cage, playlists, tools
from .encode import SHORTEST_SEGMENT_SECONDS
from .errors import ToolBroke
from .packager import AUDIO_GROUP, MASTER, descriptor, outputs
from .playlists import MANIFEST

SYSTEMS = "Widevine,PlayReady,FairPlay,CommonSystem"
KEY_URI = "key"  # the address that Packager writes for players that ask for a key itself


@dataclass(frozen=True)
class Track:
    """A track of a version: the folder of its segments, and one file of all of them.

    ``kind`` is "video" or "audio", and the name of its key. ``label`` and ``language`` are those of the
    HLS playlist.
    """

    name: str
    kind: str
    file: Path
    label: str = ""
    language: str = ""
    is_default: bool = False


@dataclass(frozen=True)
class Key:
    """A key as Packager takes it. ``pssh`` is empty, or whole boxes."""

    key_id: bytes
    key: bytes
    iv: bytes
    pssh: bytes = b""


def encrypt(
    tracks: Sequence[Track], folder: Path, keys: Mapping[str, Key], *, segment_seconds: float
) -> None:
    """Write the tracks, encrypted, with manifests that name the keys, into ``folder``.

    No part of a segment is left clear at the beginning (no clear lead); the segments keep their
    numbers. Raises ToolFailed.
    """
    flags = ["--enable_raw_key_encryption", "--protection_scheme", "cbcs", "--clear_lead", "0"]
    boxes = b"".join(dict.fromkeys(key.pssh for key in keys.values() if key.pssh))
    flags += ["--pssh", boxes.hex()] if boxes else ["--protection_systems", SYSTEMS]
    _package(tracks, folder, [*flags, "--hls_key_uri", KEY_URI], keys, segment_seconds)


def decrypt(
    tracks: Sequence[Track], folder: Path, keys: Mapping[str, Key], *, segment_seconds: float
) -> None:
    """Write encrypted tracks, clear, with their manifests, into ``folder``. Raises ToolFailed."""
    _package(tracks, folder, ["--enable_raw_key_decryption"], keys, segment_seconds)


def _package(
    tracks: Sequence[Track],
    folder: Path,
    flags: Sequence[str],
    keys: Mapping[str, Key],
    segment_seconds: float,
) -> None:
    # Any user of the machine can read the arguments of a program, so the keys go by a file.
    secret = folder.parent / f".{folder.name}.flags"
    given = ",".join(
        f"label={name}:key_id={key.key_id.hex()}:key={key.key.hex()}:iv={key.iv.hex()}"
        for name, key in keys.items()
    )
    size = sum(track.file.stat().st_size for track in tracks)
    allowance = 120 + size / 1_000_000
    argv = [str(tools.packager()), *map(_stream, tracks), *flags, "--flagfile", str(secret)]
    default = next((each.language for each in tracks if each.is_default and each.language), "")
    argv += ["--default_language", default] if default else []
    argv += outputs(segment_seconds)
    try:
        secret.touch(mode=0o600, exist_ok=False)
        secret.write_text(f"--keys={given}\n", encoding="ascii")
        done = cage.run(
            argv,
            reads=[secret, *(track.file for track in tracks)],
            writes=[folder],
            cwd=folder,
            cpu_seconds=allowance,
            wall_seconds=2 * allowance,
            file_bytes=size + 10_000_000,
        )
    finally:
        secret.unlink(missing_ok=True)
    if done.returncode or not (folder / MASTER).exists() or not (folder / MANIFEST).exists():
        raise ToolBroke(f"Packager ended with {done.returncode}. {done.stderr[-2000:]}")
    for track in tracks:
        if track.kind == "audio":
            playlists.join_short_end(folder, track.name, SHORTEST_SEGMENT_SECONDS)


def _stream(track: Track) -> str:
    name = track.name
    made = f"{descriptor(track.file, track.kind, name)},drm_label={track.kind}"
    if track.kind == "video":
        return f"{made},iframe_playlist_name={name}-iframe.m3u8"
    spoken = f",language={track.language}" if track.language else ""
    return f"{made},hls_group_id={AUDIO_GROUP},hls_name={track.label}{spoken}"
