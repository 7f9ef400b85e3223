"""Versions in common encryption (cbcs): made of clear ones, made clear again, and their manifests.

Shaka Packager encrypts the samples of the finished segments, without another encode. What it has written
of keys stays in the folder KEPT beside the playlists that players get, so that another licence server
needs only other playlists.
"""

import json
import re
import shutil
import uuid
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from videos import durable
from videos.encryption import content_keys, keys, playlists
from videos.encryption.content_keys import ContentKey
from videos.encryption.versions import NotEncrypted
from videos.processing import manifests, protection
from videos.processing.languages import UNDETERMINED
from videos.processing.packager import MASTER
from videos.processing.playlists import MANIFEST, files_of
from videos.processing.protection import Key, Track

KEPT = "packaged"  # the folder of Packager's media playlists, inside the version's
NAMED = "key-ids.json"  # there: the id and the IV of each track's key, which are no secrets
CLEAR_KEY = "org.w3.clearkey"  # as key system, and as KEYFORMAT for hls.js
FAIRPLAY, PLAYREADY, WIDEVINE = "com.apple.fps", "com.microsoft.playready", "com.widevine.alpha"
# The key formats of HLS by key system, and the ids of systems in DASH (dashif.org/identifiers).
_FORMATS = {
    "com.microsoft.playready": PLAYREADY,
    "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": WIDEVINE,
}
_SCHEMES = {
    "urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95": PLAYREADY,
    "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": WIDEVINE,
    "urn:uuid:94ce86fb-07ff-4f43-adb8-93d2fa968ca2": FAIRPLAY,
}
_MPD = "urn:mpeg:dash:schema:mpd:2011"
_FORMAT = re.compile(r'KEYFORMAT="([^"]*)"')
_HEAD_BYTES = 256 * 1024  # has the boxes before the samples of any segment
_BOXES = (b"schm", b"tenc")  # of the init segment of an encrypted track (ISO/IEC 23001-7)


class NotProtected(NotEncrypted):
    """A track of a version in common encryption is clear, or has other segments than before."""


def protect(
    source: Path,
    target: Path,
    *,
    version: str,
    given: Mapping[str, ContentKey],
    segment_seconds: float,
) -> None:
    """Write a clear version in ``source``, encrypted with the ``given`` keys, into the new ``target``.

    Raises ToolFailed, NotProtected and OSError.
    """
    _repackage(source, target, given, is_clear=True, segment_seconds=segment_seconds)
    home = target / KEPT
    home.mkdir()
    for path in sorted(target.glob("*.m3u8")):
        if path.name != MASTER:
            shutil.copyfile(path, home / path.name)
    named = {name: {"kid": key.key_id.hex(), "iv": key.iv.hex()} for name, key in given.items()}
    (home / NAMED).write_text(json.dumps(named), encoding="utf-8")
    # Packager's own manifests, which name all systems, stay beside those for players.
    manifests.compose(target, texts=(), sounds=manifests.sounds_of(target), seconds=0)
    place(target, version=version)
    if fault := fault_of(target):
        raise NotProtected(fault)


def open_up(
    source: Path, target: Path, *, video: uuid.UUID, version: str, segment_seconds: float
) -> None:
    """Write a version in common encryption, clear, into the new folder ``target``.

    Raises as ``protect``, and KeyUnknown and ProviderFailed before anything is written.
    """
    given = content_keys.content_keys(video, version)
    _repackage(source, target, given, is_clear=False, segment_seconds=segment_seconds)


def open_segments(
    init: Path, segments: Sequence[Path], folder: Path, *, video: uuid.UUID, version: str,
    segment_seconds: float,
) -> list[Path]:  # fmt: skip
    """Write segments of one track, which follow each other, clear into the new ``folder``.

    Returns the init segment and the segments. Raises as ``open_up``.
    """
    name = init.parent.name
    given = content_keys.content_keys(video, version)
    joined = folder.parent / f"{folder.name}.joined"
    folder.mkdir(parents=True)
    try:
        _join(joined, [init, *segments])
        track = Track(name, _kind_of(name), joined)
        protection.decrypt([track], folder, _plain(given), segment_seconds=segment_seconds)
    finally:
        joined.unlink(missing_ok=True)
    made = files_of(folder / f"{name}.m3u8")
    if len(made) != 1 + len(segments):
        raise NotProtected(f"{name} has other segments than when it was encrypted")
    return made


def place(folder: Path, *, version: str) -> None:
    """Write playlists and MPD with the keys for those systems that the settings name. Safe to repeat.

    It knows the ids of the keys, and asks nobody for the keys themselves.
    """
    named = json.loads((folder / KEPT / NAMED).read_text(encoding="utf-8"))
    for path in sorted((folder / KEPT).glob("*.m3u8")):
        track = _kind_of(path.name)
        text = path.read_text(encoding="utf-8")
        placed = _placed(text, track, **named[track], gives_keys=content_keys.are_given(version))
        durable.replace(folder / path.name, placed.encode())
    mpd = folder / MANIFEST
    durable.replace(mpd, _placed_mpd(mpd.read_text(encoding="utf-8")))


def fault_of(folder: Path) -> str:
    """Return which file of a version in common encryption is missing or clear; "" if none is.

    Looks at the files that playlists name, and at all init segments.
    """
    for name in (MASTER, MANIFEST, "poster.jpg", f"{KEPT}/{NAMED}"):
        if not (folder / name).is_file():
            return f"{name} is missing"
    for playlist in sorted((folder / KEPT).glob("*.m3u8")):
        if not (folder / playlist.name).is_file():
            return f"{playlist.name} is missing"
        for file in files_of(playlist, home=folder):
            if not file.is_file():
                return f"{file.relative_to(folder)} is missing"
    for file in sorted(folder.glob("*/*")):
        if fault := fault_of_file(file):
            return f"{file.relative_to(folder)} {fault}"
    return ""


def fault_of_file(path: Path) -> str:
    """Return what is wrong with an init segment or segment, as its boxes say; "" for other files."""
    if path.suffix not in (".m4s", ".mp4"):
        return ""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix == ".mp4":
        is_protected = all(box in head for box in _BOXES) and b"cbcs" in head
        return "" if is_protected else "is not encrypted"
    return "" if b"senc" in head else "is not encrypted"


# --- the segments ---------------------------------------------------------------------------------


def _repackage(
    source: Path,
    target: Path,
    given: Mapping[str, ContentKey],
    *,
    is_clear: bool,
    segment_seconds: float,
) -> None:
    """Encrypt or decrypt the tracks of ``source`` into ``target``, and copy what is beside them."""
    joined = target.parent / f"{target.name}.joined"
    joined.mkdir(parents=True)
    target.mkdir()
    try:
        master = _packaged_master(source)
        sounds = {sound.folder: sound for sound in manifests.sounds_in(master)}
        tracks, numbers = [], {}
        for name in _tracks(master):
            files = files_of(source / f"{name}.m3u8")
            numbers[name] = len(files)
            _join(joined / name, files)
            track = Track(name, _kind_of(name), joined / name)
            if sound := sounds.get(name):
                language = "" if sound.language == UNDETERMINED else sound.language
                track = replace(
                    track, label=sound.label, language=language, is_default=sound.is_default
                )
            tracks.append(track)
        run = protection.encrypt if is_clear else protection.decrypt
        run(tracks, target, _plain(given), segment_seconds=segment_seconds)
        for name, number in numbers.items():
            if len(files_of(target / f"{name}.m3u8")) != number:
                raise NotProtected(f"{name} would have other segments than before")
    finally:
        shutil.rmtree(joined, ignore_errors=True)
    for path in sorted(source.rglob("[!.]*")):
        within = path.relative_to(source)
        if path.is_file() and within.parts[0] not in numbers and not _is_text(within.as_posix()):
            (target / within).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / within)


def _is_text(name: str) -> bool:
    """Whether a file is a manifest or playlist, which is written anew, or a text of one."""
    first, _, rest = name.partition("/")
    if rest:
        return first in (KEPT, playlists.CLEAR, manifests.TEXTS)
    return name.endswith((".m3u8", ".mpd")) or name == "files.json"


def _join(target: Path, files: Iterable[Path]) -> None:
    with target.open("wb") as whole:
        for file in files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, whole)


def _packaged_master(folder: Path) -> str:
    """Return the master playlist of a version as Packager has written it."""
    kept = folder / manifests.PACKAGED[MASTER]
    return (kept if kept.is_file() else folder / MASTER).read_text(encoding="utf-8")


def _tracks(master: str) -> list[str]:
    """Return the names of the tracks of a packaged master playlist: pictures first."""
    found = re.findall(
        r'^#EXT-X-MEDIA:TYPE=AUDIO.*?URI="([^"]+)"|^([^#\s].*)$', master, re.MULTILINE
    )
    names = dict.fromkeys((media or line).strip().removesuffix(".m3u8") for media, line in found)
    return sorted(names, key=lambda name: _kind_of(name) == "audio")


def _kind_of(folder: str) -> str:
    return "audio" if folder.startswith("audio") else "video"


def _plain(given: Mapping[str, ContentKey]) -> dict[str, Key]:
    return {track: Key(*key) for track, key in given.items()}


# --- what players are told ------------------------------------------------------------------------


def _placed(text: str, track: str, *, kid: str, iv: str, gives_keys: bool) -> str:
    """Return a media playlist with a key for each system of the settings (RFC 8216, 4.3.2.4)."""
    made: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#EXT-X-KEY:") or (
            (match := _FORMAT.search(line)) and _FORMATS.get(match[1]) in settings.LICENCE_SERVERS
        ):
            made.append(line)
        if line.startswith("#EXT-X-MAP:"):
            made += _key_lines(track, kid, iv, gives_keys=gives_keys)
    return "\n".join([*made, ""])


def _key_lines(track: str, kid: str, iv: str, *, gives_keys: bool) -> Iterator[str]:
    """Yield the lines that say more than a `pssh` box, which Packager has written for its systems.

    A player may ask for the key itself, or for a licence by EME. hls.js knows only the second for MP4,
    and finds the key's id in the address.
    """
    if gives_keys:
        yield f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{keys.FOLDER}/{track}",IV=0x{iv},KEYFORMAT="identity"'
        data = f"data:application/octet-stream;base64,{b64encode(bytes.fromhex(kid)).decode()}"
        yield f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{data}",KEYFORMAT="{CLEAR_KEY}",KEYFORMATVERSIONS="1"'
    if FAIRPLAY in settings.LICENCE_SERVERS:
        yield (
            f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://{kid}",IV=0x{iv},'
            'KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'
        )


def _placed_mpd(text: str) -> bytes:
    """Return an MPD without systems that have no licence server (ISO/IEC 23009-1, 5.8.4.1).

    The scheme with its default_KID stays, and so does the common `pssh` box (W3C), by which ClearKey
    finds its keys.
    """
    ET.register_namespace("", _MPD)
    ET.register_namespace("cenc", "urn:mpeg:cenc:2013")
    ET.register_namespace("mspr", "urn:microsoft:playready")
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - our own file
    root = ET.fromstring(text, parser)  # noqa: S314
    for parent in list(root.iter()):
        for each in parent.findall(f"{{{_MPD}}}ContentProtection"):
            system = _SCHEMES.get(each.get("schemeIdUri", "").lower())
            if system is not None and system not in settings.LICENCE_SERVERS:
                parent.remove(each)
    placed: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return placed + b"\n"
