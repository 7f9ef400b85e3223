"""Encrypting versions: new ones before they are published, and published ones while people watch them.

A version never changes. A published one is copied file by file, encrypted or decrypted on the way, into
a new version, and the video is switched to it in one transaction. A kill before that leaves the video as
it was; what was written is garbage.
"""

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

import audit.services as audit
from audit.actions import AuditAction
from config.errors import StorageFull
from videos import storage
from videos.encryption import common, content_keys, keys, versions
from videos.encryption.content_keys import ContentKey
from videos.models import Video
from videos.presentation import beforehand, refreshing
from videos.processing.pipeline import Output


@dataclass(frozen=True)
class Prepared:
    """What a version will be encrypted with: its name, with cbcs, and its keys."""

    version: str
    keys: Mapping[str, ContentKey]


def prepare(video_id: uuid.UUID) -> Prepared | None:
    """Ask for the keys of a new version; None where it needs none that somebody else gives.

    Call it before the work begins, because KEY_PROVIDER may fail. Raises ProviderFailed.
    """
    if settings.HLS_ENCRYPTION != "cbcs":
        return None
    version = keys.new_version(0)
    return Prepared(version, content_keys.content_keys(video_id, version))


def encrypt_output(output: Output, video_id: uuid.UUID, prepared: Prepared | None = None) -> str:
    """Encrypt a finished version where it is, and return the name that it must be published with.

    Raises ProviderFailed unless it was ``prepared``, and with cbcs ToolFailed and NotProtected.
    """
    folder = output.directory
    prepared = prepared or prepare(video_id)
    if prepared is None:
        version = keys.new_version(output.segment_seconds)
        names = versions.names_in(folder)
        versions.remake(folder, folder, video=video_id, old="", new=version, names=names)
        return version
    clear = folder.with_name(f"{folder.name}.clear")
    folder.rename(clear)
    common.protect(
        clear,
        folder,
        version=prepared.version,
        given=prepared.keys,
        segment_seconds=output.segment_seconds,
    )
    shutil.rmtree(clear)
    return prepared.version


def waiting(*, encrypted: bool) -> list[Video]:
    """Return the videos whose current version must be made anew so that it is ``encrypted``, or clear.

    Encrypted means with the first secret. Deleted videos that may be restored are among them. Growing
    versions are not: a complete one replaces them.
    """
    published = Video.objects.filter(purged_at=None).exclude(current_version="")
    published = published.exclude(completeness=Video.Completeness.GROWING).order_by("created_at")
    return [video for video in published.iterator() if _is_wrong(video, encrypted=encrypted)]


def _is_wrong(video: Video, *, encrypted: bool) -> bool:
    if encrypted:
        return not keys.is_current(video.current_version)
    return keys.is_encrypted(video.current_version)


def remake(video: Video, *, encrypted: bool) -> bool:
    """Make a version of the video's current one that is ``encrypted``, or clear, and switch to it.

    Running sessions keep the version that they began with, until the clean-up removes it. Returns False
    if another version was published meanwhile: then nothing has changed. Raises KeyUnknown,
    NotEncrypted, StorageFull, OSError, and with cbcs ProviderFailed and ToolFailed; nothing has changed
    then, too.
    """
    if storage.state() == storage.NEARLY_FULL:
        raise StorageFull()
    old = video.current_version
    new = keys.new_version(video.segment_seconds) if encrypted else uuid.uuid4().hex[:12]
    given = content_keys.content_keys(video.pk, new) if keys.is_common(new) else {}
    old_name, new_name = storage.version_name(video, old), storage.version_name(video, new)
    outer = settings.MEDIA_ROOT / "uploads" / f"version-{uuid.uuid4().hex}"
    folder = outer / new
    storage.make_folder(outer)
    try:
        with storage.store().reading(old_name) as (source, bring):
            names = storage.store().files(old_name)
            _remake(video, old, new, source, folder, names, bring, given)
        seconds = video.duration_seconds or 0.0
        presented = beforehand.prepare(video, folder, version=new, seconds=seconds)
        storage.store().publish(folder, new_name, lasting=True)
    finally:
        shutil.rmtree(outer, ignore_errors=True)
    if _switch(video, old, new, presented, encrypted=encrypted):
        return True
    storage.store().remove(new_name)
    return False


def _remake(
    video: Video,
    old: str,
    new: str,
    source: Path,
    folder: Path,
    names: list[str],
    bring: Callable[[Iterable[Path]], object],
    given: Mapping[str, ContentKey],
) -> None:
    """Write the version ``old`` in ``source`` as version ``new`` into ``folder``."""
    is_copy = source != settings.MEDIA_ROOT / storage.version_name(video, old)
    if not (keys.is_common(old) or keys.is_common(new)):
        storage.make_folder(folder)
        versions.remake(
            source,
            folder,
            video=video.pk,
            old=old,
            new=new,
            names=names,
            bring=bring,
            # One file of a far store is here at a time.
            done=(lambda path: path.unlink()) if is_copy else str,
        )
        return
    # Samples are encrypted in whole tracks. What was encrypted in another way becomes clear first.
    seconds = video.segment_seconds
    bring([source / name for name in names])
    clear = source
    if keys.is_encrypted(old):
        clear = folder.with_name("clear")
        if keys.is_common(old):
            common.open_up(source, clear, video=video.pk, version=old, segment_seconds=seconds)
        else:
            clear.mkdir()
            versions.remake(source, clear, video=video.pk, old=old, new="", names=names)
    if keys.is_common(new):
        common.protect(clear, folder, version=new, given=given, segment_seconds=seconds)
    elif keys.is_encrypted(new):
        storage.make_folder(folder)
        inside = versions.names_in(clear)
        versions.remake(clear, folder, video=video.pk, old="", new=new, names=inside)
    else:
        clear.rename(folder)


@transaction.atomic
def _switch(
    video: Video,
    old: str,
    new: str,
    presented: beforehand.Prepared | None,
    *,
    encrypted: bool,
) -> bool:
    """Make ``new`` the current version if ``old`` still is."""
    named = Video.objects.filter(pk=video.pk, current_version=old, purged_at=None)
    if not named.update(current_version=new, switched_at=Now()):
        return False
    video.refresh_from_db()
    beforehand.adopt(video, presented)
    action = AuditAction.VIDEO_ENCRYPTED if encrypted else AuditAction.VIDEO_DECRYPTED
    audit.record(actor=None, action=action, target=video, version=new)
    return True


def present_anew(video: Video) -> None:
    """Write the playlists of an encrypted version again, for another CDN_URL. Safe to repeat."""
    with transaction.atomic():
        refreshing.mark(video)


def faults(video: Video) -> Iterator[str]:
    """Read all segments of a video's current version, and yield what is wrong with its encryption.

    Finds segments that are clear or damaged, also those that no playlist names. Raises OSError.
    """
    version = video.current_version
    if not keys.is_encrypted(version):
        yield "it is not encrypted"
        return
    if not keys.is_known(version):
        yield "its secret is not in HLS_KEY_SECRET_FALLBACKS: nobody can play it"
    name = storage.version_name(video)
    is_common = keys.is_common(version)
    check = common.fault_of_file if is_common else versions.fault_of_segment
    parts = (versions.SEGMENT, "/init.mp4") if is_common else (versions.SEGMENT,)
    with storage.store().reading(name) as (folder, bring):
        is_copy = folder != settings.MEDIA_ROOT / name
        for each in storage.store().files(name):
            if not each.endswith(parts):
                continue
            path = folder / each
            bring([path])
            if fault := check(path):
                yield f"{each} {fault}"
            if is_copy:
                path.unlink()
