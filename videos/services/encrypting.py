"""Encrypting versions: new ones before they are published, and published ones while people watch them.

A version never changes. A published one is copied file by file, encrypted or decrypted on the way, into
a new version, and the video is switched to it in one transaction. A kill before that leaves the video as
it was; what was written is garbage.
"""

import shutil
import uuid
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

import audit.services as audit
from audit.actions import AuditAction
from config.errors import StorageFull
from videos import storage
from videos.encryption import keys, versions
from videos.models import Video
from videos.presentation import refreshing
from videos.processing.pipeline import Output


def encrypt_output(output: Output, video_id: uuid.UUID) -> str:
    """Encrypt a finished version where it is, and return the name that it must be published with."""
    version = keys.new_version(output.segment_seconds)
    folder = output.directory
    names = versions.names_in(folder)
    versions.remake(folder, folder, video=video_id, old="", new=version, names=names)
    return version


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
    NotEncrypted, StorageFull, and OSError; nothing has changed then, too.
    """
    if storage.state() == storage.NEARLY_FULL:
        raise StorageFull()
    old = video.current_version
    new = keys.new_version(video.segment_seconds) if encrypted else uuid.uuid4().hex[:12]
    old_name, new_name = storage.version_name(video, old), storage.version_name(video, new)
    outer = settings.MEDIA_ROOT / "uploads" / f"version-{uuid.uuid4().hex}"
    folder = outer / new
    storage.make_folder(folder)
    try:
        with storage.store().reading(old_name) as (source, bring):
            is_copy = source != settings.MEDIA_ROOT / old_name
            versions.remake(
                source,
                folder,
                video=video.pk,
                old=old,
                new=new,
                names=storage.store().files(old_name),
                bring=bring,
                # One file of a far store is here at a time.
                done=(lambda path: path.unlink()) if is_copy else str,
            )
        storage.store().publish(folder, new_name, lasting=True)
    finally:
        shutil.rmtree(outer, ignore_errors=True)
    if _switch(video, old, new, encrypted=encrypted):
        return True
    storage.store().remove(new_name)
    return False


@transaction.atomic
def _switch(video: Video, old: str, new: str, *, encrypted: bool) -> bool:
    """Make ``new`` the current version if ``old`` still is."""
    named = Video.objects.filter(pk=video.pk, current_version=old, purged_at=None)
    if not named.update(current_version=new, switched_at=Now()):
        return False
    video.refresh_from_db()
    refreshing.mark(video)
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
    with storage.store().reading(name) as (folder, bring):
        is_copy = folder != settings.MEDIA_ROOT / name
        for each in storage.store().files(name):
            if not each.endswith(versions.SEGMENT):
                continue
            path = folder / each
            bring([path])
            if fault := versions.fault_of_segment(path):
                yield f"{each} {fault}"
            if is_copy:
                path.unlink()
