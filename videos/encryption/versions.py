"""Making an encrypted version of a clear one, and the other way round: the same bytes, no transcode."""

import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from django.conf import settings

from videos import durable
from videos.encryption import keys, playlists
from videos.encryption.playlists import CLEAR
from videos.processing.manifests import ONE_CODEC, PACKAGED, TEXTS
from videos.processing.packager import MASTER
from videos.processing.playlists import MANIFEST

SEGMENT = ".m4s"
BLOCK = 16  # bytes of AES
_READ = 1024 * 1024  # bytes of a segment in memory at a time
# Types of the boxes with which a segment or a file of MP4 begins (ISO/IEC 14496-12).
_BOXES = {b"styp", b"ftyp", b"moof", b"moov", b"sidx", b"mdat", b"emsg", b"prft", b"free"}
# Composed from the database for each version anew (videos.presentation), or made from the clear texts.
_COMPOSED = {ONE_CODEC, *PACKAGED.values()}


class NotEncrypted(Exception):
    """A segment of an encrypted version is none that was encrypted with its key."""


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files, relative to it. Hidden ones are unfinished, or locks."""
    found = (path for path in sorted(folder.rglob("[!.]*")) if path.is_file())
    return [path.relative_to(folder).as_posix() for path in found]


def remake(
    source: Path,
    target: Path,
    *,
    video: uuid.UUID,
    old: str,
    new: str,
    names: Sequence[str],
    bring: Callable[[Iterable[Path]], object] = list,
    done: Callable[[Path], object] = str,
) -> None:
    """Write the files of the version ``old`` in ``source`` as version ``new`` into ``target``.

    Whether a version is encrypted follows from its name. ``names`` are the files of ``source``;
    ``bring`` is called before one is read, and ``done`` after. ``target`` may be ``source``.
    Memory stays the same for any length. Raises KeyUnknown, NotEncrypted, and OSError.
    """
    texts = _clear_texts(source, old, names, bring)
    kept = [name for name in names if not _is_text(name, is_encrypted=keys.is_encrypted(old))]
    for name in kept:
        path = source / name
        bring([path])
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(SEGMENT):
            _recode(path, target / name, _cipher(video, old, name), _cipher(video, new, name))
        elif source != target:
            shutil.copyfile(path, target / name)
        done(path)
    if source == target:
        for name in set(names) - set(kept):
            (source / name).unlink()
    if keys.is_encrypted(new):
        (target / CLEAR).mkdir(exist_ok=True)
        for name, text in texts.items():
            (target / CLEAR / name).write_text(text, encoding="utf-8")
        place(target, video=video, version=new)
        master = playlists.without_iframes(texts[MASTER])
        (target / MASTER).write_text(master, encoding="utf-8")
    else:
        for name, text in texts.items():
            (target / name).write_text(text, encoding="utf-8")


def place(folder: Path, *, video: uuid.UUID, version: str) -> None:
    """Write the media playlists of an encrypted version with the present CDN_URL. Safe to repeat."""
    for clear in sorted((folder / CLEAR).glob("*.m3u8")):
        text = clear.read_text(encoding="utf-8")
        if playlists.is_media(text):
            made = playlists.encrypted(
                text, video=video, version=version, place=str(settings.CDN_URL)
            )
            durable.replace(folder / clear.name, made.encode())


def decrypt(source: Path, target: Path, *, video: uuid.UUID, version: str, name: str) -> None:
    """Write a segment of an encrypted version as it was. Raises KeyUnknown, NotEncrypted, OSError."""
    _recode(source, target, _cipher(video, version, name), None)


def fault_of(folder: Path) -> str:
    """Return which file of an encrypted version in a folder is missing or clear; "" if none is."""
    for name in (MASTER, "poster.jpg", f"{CLEAR}/{MASTER}"):
        if not (folder / name).is_file():
            return f"{name} is missing"
    for playlist in sorted((folder / CLEAR).glob("*.m3u8")):
        text = playlist.read_text(encoding="utf-8", errors="replace")
        if not playlists.is_media(text):
            continue
        if not (folder / playlist.name).is_file():
            return f"{playlist.name} is missing"
        for name in (*playlists.inits_of(text), *playlists.segments_of(text)):
            if not (folder / name).is_file():
                return f"{name} is missing"
    for name in names_in(folder):
        if fault := fault_of_segment(folder / name):
            return f"{name} {fault}"
    return ""


def fault_of_segment(path: Path) -> str:
    """Return what is wrong with a segment of an encrypted version, as far as its first bytes tell."""
    if path.suffix != SEGMENT:
        return ""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    if is_clear(head, size):
        return "is not encrypted"
    return "" if size and size % BLOCK == 0 else "is damaged"


def is_clear(head: bytes, size: int) -> bool:
    """Return whether a segment of this size, which begins with ``head``, can be read as MP4."""
    return head[4:8] in _BOXES and int.from_bytes(head[:4], "big") <= size


def _is_text(name: str, *, is_encrypted: bool) -> bool:
    """Whether a file is a manifest or playlist, which is written anew."""
    first, _, rest = name.partition("/")
    if rest:
        return first in ({CLEAR, TEXTS} if is_encrypted else {TEXTS})
    return name.endswith((".m3u8", ".mpd")) or name == "files.json"


def _clear_texts(
    source: Path, version: str, names: Sequence[str], bring: Callable[[Iterable[Path]], object]
) -> dict[str, str]:
    """Return manifests and playlists of the clear version, as Packager has written them."""
    found: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name)
        if keys.is_encrypted(version):
            if path.parts[0] != CLEAR:
                continue
        elif len(path.parts) > 1 or path.suffix not in (".m3u8", ".mpd") or name in _COMPOSED:
            continue
        of = {MASTER: PACKAGED[MASTER], MANIFEST: PACKAGED[MANIFEST]}.get(name, "")
        chosen = source / (of if of in names and not keys.is_encrypted(version) else name)
        bring([chosen])
        found[path.name] = chosen.read_text(encoding="utf-8")
    if MASTER not in found:
        raise FileNotFoundError(2, f"{MASTER} is missing")
    return found


def _cipher(video: uuid.UUID, version: str, name: str) -> "Cipher[Any] | None":
    """Return the cipher of a segment; None for a clear version. Raises KeyUnknown."""
    if not keys.is_encrypted(version):
        return None
    rendition, number = PurePosixPath(name).parts[0], playlists.number_of(name)
    of = keys.period_of(version, number)
    vector = keys.initialization_vector(video, version, rendition, of)
    found = keys.period(video, version, of)
    if found is None:
        raise keys.KeyUnknown(version)
    return Cipher(algorithms.AES(found.key), modes.CBC(vector))


def _recode(
    source: Path, target: Path, old: "Cipher[Any] | None", new: "Cipher[Any] | None"
) -> None:
    """Write ``source``, decrypted with ``old`` and encrypted with ``new``, as ``target``."""
    steps: list[Any] = []
    if old is not None:
        steps += [old.decryptor(), PKCS7(BLOCK * 8).unpadder()]
    if new is not None:
        steps += [PKCS7(BLOCK * 8).padder(), new.encryptor()]
    beside = target.with_name(f".{target.name}.new")
    try:
        with source.open("rb") as read, beside.open("wb") as write:
            while data := read.read(_READ):
                for step in steps:
                    data = step.update(data)
                write.write(data)
            data = b""
            for step in steps:
                data = (step.update(data) if data else b"") + step.finalize()
            write.write(data)
    except ValueError as error:  # its length or its padding
        beside.unlink(missing_ok=True)
        raise NotEncrypted(f"{source.name} was not encrypted with the key of its period") from error
    beside.replace(target)
