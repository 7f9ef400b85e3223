"""Complete uploads become the sources of their videos; abandoned ones end.

A process may be killed at any point here. The bytes stay in the upload's file until the transaction that
queues the processing has been committed, and it changes the upload from OPEN to DONE: so an upload that
was acknowledged is queued once, by whichever process comes next.
"""

import hashlib
import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import APIException, PermissionDenied

from config import ordered
from config.errors import ServiceUnavailable
from config.ids import uuid7
from videos import storage
from videos.errors import NotJoinable
from videos.models import Upload
from videos.services import resuming, sources
from videos.uploads import spool
from videos.uploads.received import Received, ReceivedFile

logger = logging.getLogger(__name__)

UNKNOWN_SECONDS = (
    3600  # until a file without a row is removed; a first request makes the file first
)
CHUNK = 1024 * 1024


def settle(upload: Upload, writer: spool.Writer, sha256: str = "") -> ReceivedFile:
    """Make the received file of a complete upload: join it, hash it, send it to a store that is far.

    It takes as long as the file is large, so no thread of Django calls it. ``sha256`` is the checksum,
    if it is known. Raises StorageFull and StorageAway; nothing is lost then, and it can be repeated.
    """
    with storage.refusing():
        if resuming.is_joined(upload):
            _join(upload, writer)
        checksum = sha256 or _sha256(writer.path)
        path = _second_name(writer.path)
        name = upload.filename or "upload"
        received = ReceivedFile(path, name, writer.offset, f"sha256:{checksum}")
    try:
        received.send(cast("UUID", upload.video_id))
    except BaseException:
        received.close()
        raise
    return received


def finish(upload: Upload, received: Received) -> None:
    """Make a settled upload the source of its video and queue the processing: once, or not at all.

    ``upload`` is then DONE. Raises what `sources` raises, and PermissionDenied: the upload is FAILED
    then, unless the service may be able to do it later (ServiceUnavailable).
    """
    try:
        with transaction.atomic():
            is_mine = Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(
                state=Upload.State.DONE,
                offset=received.size,
                length=received.size,
                ended_at=timezone.now(),
            )
            if is_mine:
                _attach(upload, received)
                parts = list(upload.parts.values_list("pk", flat=True))
                upload.parts.all().delete()
    except ServiceUnavailable:
        raise
    except APIException as refusal:
        fail(upload, refusal)
        raise
    finally:
        received.close()
    upload.state, upload.offset, upload.length = Upload.State.DONE, received.size, received.size
    if is_mine:
        for upload_id in (upload.pk, *parts):
            _forget(upload_id)


def _is_here(upload: Upload) -> bool:
    """Return whether this machine has bytes of a joined upload; with several, another one may."""
    parts = upload.parts.values_list("pk", flat=True)
    return any(spool.path_of(each).exists() for each in (upload.pk, *parts))


def join_writer(upload: Upload) -> spool.Writer | None:
    """Return the writer of an upload that is to be joined, or None if another process joins it."""
    with suppress(FileNotFoundError):
        return spool.Writer.of(upload.pk)
    try:
        return spool.Writer.create(upload.pk)
    except (FileExistsError, BlockingIOError):
        return None


def unfinished(upload: Upload) -> spool.Writer | None:
    """Return the writer of an upload that is complete and not finished, if no other process has it."""
    if upload.state != Upload.State.OPEN or upload.kind == Upload.Kind.PART:
        return None
    if resuming.is_joined(upload):
        return join_writer(upload) if _is_here(upload) else None
    with suppress(FileNotFoundError):
        if upload.length is not None and spool.offset_of(upload.pk) == upload.length:
            return spool.Writer.of(upload.pk)
    return None


def complete(upload: Upload, writer: spool.Writer) -> None:
    """Settle and finish an upload, and close its writer. Logs why it could not, and raises nothing."""
    try:
        upload.refresh_from_db()
        if upload.state == Upload.State.OPEN:
            finish(upload, settle(upload, writer))
    except Upload.DoesNotExist:
        pass  # it was ended
    except ServiceUnavailable as refusal:
        logger.warning("The upload %s waits: %s", upload.pk, refusal.detail)
    except APIException as refusal:
        logger.warning("The upload %s was refused: %s", upload.pk, refusal.detail)
        fail(upload, refusal)
    finally:
        writer.close()


def complete_interrupted() -> int:
    """Complete the uploads on this machine that no process has finished, and return their number.

    Safe in any number of processes at the same time. It waits until the storage can be used.
    """
    count = 0
    here = (Upload.Kind.WHOLE, Upload.Kind.JOINED)
    waiting = Upload.objects.filter(state=Upload.State.OPEN, kind__in=here)
    for upload in waiting.select_related("user").order_by("created_at"):
        writer = None
        with suppress(OSError):
            writer = unfinished(upload)
        if writer is not None and storage.trouble():
            writer.close()  # to hash a large file for nothing, again and again, would cost a processor
            break
        if writer is not None:
            complete(upload, writer)
            count += 1
    return count


def sweep() -> int:
    """End abandoned uploads, and forget those that ended long ago and files without a row.

    Returns the number of uploads that have expired. Safe to repeat, and in any number of processes.
    """
    count = 0
    for upload in resuming.overdue():
        count += _expire(upload)
    ordered.delete(Upload.objects.filter(ended_at__lte=timezone.now() - resuming.KEPT))
    for path in spool.folder().glob("*"):
        with suppress(OSError, ValueError):
            _remove_unknown(path)
    return count


def _expire(upload: Upload) -> bool:
    """Mark an abandoned upload as expired and remove its file, unless it is being written."""
    try:
        writer = spool.Writer.of(upload.pk)
    except FileNotFoundError:  # lost, or on another machine, which removes it later
        return _mark_expired(upload)
    except OSError:
        return False
    if writer is None:
        return False
    try:
        return not _is_complete(upload, writer) and _mark_expired(upload)
    finally:
        writer.close()


def _mark_expired(upload: Upload) -> bool:
    expired = Upload.objects.filter(
        pk=upload.pk, state=Upload.State.OPEN, expires_at__lte=timezone.now()
    ).update(state=Upload.State.EXPIRED, ended_at=timezone.now())
    if expired:
        for upload_id in (upload.pk, *upload.parts.values_list("pk", flat=True)):
            _forget(upload_id)
        upload.parts.all().delete()
    return bool(expired)


def _is_complete(upload: Upload, writer: spool.Writer) -> bool:
    """Return whether all has arrived, and it waits for `complete` on this machine."""
    is_whole = upload.kind == Upload.Kind.WHOLE and writer.offset == upload.length
    return is_whole or resuming.is_joined(upload)


def _remove_unknown(path: Path) -> None:
    upload_id = UUID(path.name.removesuffix(spool.UNCHECKED))
    if path.stat().st_mtime > time.time() - UNKNOWN_SECONDS:
        return
    if not Upload.objects.filter(pk=upload_id, state=Upload.State.OPEN).exists():
        writer = spool.Writer.of(upload_id)
        if writer is not None:
            spool.remove(upload_id)
            writer.close()


def _attach(upload: Upload, received: Received) -> None:
    user = upload.user
    if not (user.is_active and user.has_perm("videos.add_video")):
        raise PermissionDenied("The creator may not add videos any more.")
    video_id = cast("UUID", upload.video_id)
    if upload.makes_video:
        sources.create_with_source(
            creator=user,
            received=received,
            pk=video_id,
            title=upload.title,
            currency=settings.DEFAULT_CURRENCY,
        )
    else:
        video = resuming.video_for(user, video_id)
        sources.attach_source(video=video, received=received, actor=user)


def fail(upload: Upload, refusal: APIException) -> None:
    """Mark an open upload as refused for good, and forget its bytes on this machine."""
    code, detail = str(refusal.get_codes())[:40], str(refusal.detail)[:500]
    upload.state = Upload.State.FAILED
    Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(
        state=Upload.State.FAILED,
        error_code=code,
        error_detail=detail,
        ended_at=timezone.now(),
    )
    parts = list(upload.parts.values_list("pk", flat=True))
    upload.parts.all().delete()
    for upload_id in (upload.pk, *parts):
        _forget(upload_id)


def _forget(upload_id: UUID) -> None:
    with suppress(OSError):  # then ``sweep`` removes it
        spool.remove(upload_id)


def _join(upload: Upload, writer: spool.Writer) -> None:
    """Append the parts that are not there yet, and remove each part when it is on the disk.

    So the disk holds at most one part twice, and it goes on where a killed process has stopped.
    """
    parts = list(upload.parts.order_by("position"))
    if sum(part.length or 0 for part in parts) != upload.length:
        raise NotJoinable("A part of this upload is lost.")
    end = 0
    for part in parts:
        begin, end = end, end + (part.length or 0)
        if writer.offset < end:
            try:
                writer.append(spool.path_of(part.pk), begin=writer.offset - begin)
            except FileNotFoundError:
                raise NotJoinable("A part of this upload is lost.") from None
            writer.sync()
        spool.remove(part.pk)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _second_name(path: Path) -> Path:
    """Return a second name of a file in the uploads folder, from where it can move to the store."""
    folder = settings.MEDIA_ROOT / "uploads"
    storage.make_folder(folder)
    second: Path = folder / uuid7().hex
    try:
        os.link(path, second)
    except OSError as error:
        _copy_instead(path, second, error)
    os.utime(second)  # garbage looks at the time
    return second


def _copy_instead(path: Path, second: Path, error: OSError) -> None:
    """Copy a file where the file system has no second names."""
    if error.errno not in spool.CANNOT_LINK:
        raise error
    shutil.copyfile(path, second)
