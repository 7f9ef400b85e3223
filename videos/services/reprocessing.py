"""Making versions again from the sources that are kept: after a loss of files, or for a new ladder."""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from django.db import transaction

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from videos import jobs, storage
from videos.encryption import common, keys, versions
from videos.errors import AlreadyQueued, NoSource, NotReady
from videos.models import ProcessingJob, Video

MASTER = "master.m3u8"
ALWAYS = (MASTER, "manifest.mpd", "poster.jpg")
_NAMED = re.compile(r'URI="([^"]+)"|^([^#\s].*)$', re.MULTILINE)


@transaction.atomic
def reprocess(*, video: Video, actor: User | None) -> None:
    """Queue the making of a new version of a READY video from its source, behind all other work.

    Viewers keep the version that they have until the new one is ready; if it cannot be made, they keep
    it as well. Raises NotVisible if the video has been deleted, NotReady for one that is not READY,
    AlreadyQueued if it is being processed, NoSource if its source is missing, and StorageAway.
    """
    row = Video.objects.alive().select_for_update().filter(pk=video.pk).first()
    if row is None:
        raise NotVisible()
    jobs.cancel_captions(row)  # they are queued again with the new version
    if ProcessingJob.objects.open().filter(video=row).exists():
        raise AlreadyQueued()
    if row.status != Video.Status.READY:
        raise NotReady()
    with storage.refusing():
        if not storage.store().exists(row.source_path):
            storage.require()
            raise NoSource()
    jobs.queue_again(row)
    audit.record(actor=actor, action=AuditAction.VIDEO_REPROCESSED, target=row)


def fault_of(video: Video) -> str:
    """Return which file of the video's current version is missing or damaged, in words; "" if none is.

    Reads the playlists, and of each file that they name its length and the lengths of its parts. A store
    that keeps a list of the files compares them with it instead.
    """
    damage = storage.store().damage(storage.version_name(video))
    if damage is not None:
        return damage
    folder = video.version_folder
    if keys.is_common(video.current_version):
        return common.fault_of(folder)
    if keys.is_encrypted(video.current_version):
        return versions.fault_of(folder)
    for name in ALWAYS:
        if not (folder / name).is_file():
            return f"{name} is missing"
    for name in _files(folder, MASTER):
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.suffix in (".m4s", ".mp4") and not _is_whole(path):
            return f"{name} is damaged"
    return ""


def _files(folder: Path, playlist: str) -> Iterator[str]:
    """Yield the names of all files that a playlist, and those that it names, name."""
    text = (folder / playlist).read_text(encoding="utf-8", errors="replace")
    names = dict.fromkeys(first or second.strip() for first, second in _NAMED.findall(text))
    for name in names:
        yield name
        if name.endswith(".m3u8") and (folder / name).is_file():
            yield from _files(folder, name)


def _is_whole(path: Path) -> bool:
    """Return whether the boxes of an MP4 file end where the file ends (ISO/IEC 14496-12, 4.2)."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            (length,) = struct.unpack(">I", file.read(8)[:4])
            if length < 8:  # none of ours is that long, or has no length
                return False
            position += length
    return position == size > 0 and os.access(path, os.R_OK)
