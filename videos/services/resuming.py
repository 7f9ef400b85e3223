"""Uploads that arrive in several requests: beginning one, finding it, going on, and ending it early."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from accounts.models import User
from config.errors import NotVisible
from config.ids import parse, uuid7
from videos import jobs, storage
from videos.errors import (
    DirectUpload,
    EmptyUpload,
    InvalidHeader,
    JoinedUpload,
    NotJoinable,
    UploadBusy,
    UploadGone,
    UploadQuotaExceeded,
)
from videos.models import Upload, Video
from videos.permissions import OwnsVideo
from videos.uploads import spool
from videos.uploads.form import file_name
from videos.uploads.received import check_room, too_large
from videos.uploads.tus import Wanted

KEPT = timedelta(days=7)  # in which a client can ask what became of its upload
OPEN_MAX = 1000  # uploads of one creator that are under way; each costs a file


def plan(user: User, wanted: Wanted) -> Upload:
    """Return the upload that a creation asks for, which is not stored yet. Nothing is changed.

    Raises InvalidHeader, EmptyUpload, TooLarge, StorageFull and StorageAway; UploadQuotaExceeded, and
    QuotaExceeded if the video could not be queued; NotVisible and PermissionDenied for its video;
    NotJoinable.
    """
    upload = Upload(
        id=uuid7(),
        user=user,
        kind=wanted.kind,
        length=wanted.length,
        metadata=wanted.metadata,
        concat=wanted.concat,
        expires_at=expiry(),
    )
    creator, video = user, None
    if upload.kind != Upload.Kind.PART:
        upload.filename = file_name(wanted.values.get("filename", ""))
        video = _target(user, upload, wanted)
        creator = video.creator if video else user
    if upload.kind == Upload.Kind.JOINED:
        upload.length = sum(part.length or 0 for part in _parts(user, wanted.parts))
    check_length(upload)
    if upload.kind != Upload.Kind.PART:
        jobs.refuse_beyond_quota(creator, size=upload.length or 0, replaced=video)
    if upload.kind != Upload.Kind.JOINED:
        refuse_beyond_quota(upload, upload.length or 0)
    if upload.kind == Upload.Kind.DIRECT:
        storage.require()
    elif upload.kind != Upload.Kind.JOINED:
        check_room(upload.length or 0)
    return upload


def check_length(upload: Upload) -> None:
    """Raise EmptyUpload and TooLarge for a length, if it is known, that no upload may have."""
    if upload.length == 0:
        raise EmptyUpload()
    if (upload.length or 0) > settings.UPLOAD_MAX_BYTES:
        raise too_large()


def refuse_beyond_quota(upload: Upload, size: int) -> None:
    """Raise UploadQuotaExceeded if ``size`` bytes of this upload are too many beside the other ones."""
    under_way = Upload.objects.filter(
        user=upload.user, state=Upload.State.OPEN, expires_at__gt=timezone.now()
    ).exclude(kind=Upload.Kind.JOINED)  # which has the bytes of its parts
    found = under_way.exclude(pk=upload.pk).aggregate(
        number=Count("pk"), size=Sum(Coalesce("length", "offset"))
    )
    held = found["size"] or 0
    if held + size > settings.UPLOAD_QUOTA_BYTES or found["number"] >= OPEN_MAX:
        raise UploadQuotaExceeded(
            f"{found['number']} uploads of {held} bytes are under way. There may be {OPEN_MAX} of "
            f"{settings.UPLOAD_QUOTA_BYTES} bytes together. Finish or end some first."
        )


def begin(upload: Upload, parts: tuple[UUID, ...] = ()) -> Upload:
    """Make the empty file of a planned upload, and store it as ``create`` does."""
    if is_joined(upload):
        return create(upload, parts)
    with storage.refusing():
        writer = spool.Writer.create(upload.pk)
    try:
        return create(upload)
    except BaseException:
        spool.remove(upload.pk)
        raise
    finally:
        writer.close()


@transaction.atomic
def create(upload: Upload, parts: tuple[UUID, ...] = ()) -> Upload:
    """Store a planned upload, and return it. Its file must be there already, unless it is joined.

    Safe to repeat for a joined one: the same parts in the same order give the same upload. Raises
    UploadQuotaExceeded and NotJoinable.
    """
    # Two creations at the same moment must not both find room.
    User.objects.select_for_update(no_key=True).get(pk=upload.user_id)
    if upload.kind != Upload.Kind.JOINED:
        refuse_beyond_quota(upload, upload.length or upload.offset)
        upload.save(force_insert=True)
        return upload
    rows = _parts(upload.user, parts)
    if earlier := _joined_already(rows):
        return earlier
    upload.save(force_insert=True)
    for position, part in enumerate(rows):
        is_there = Upload.objects.filter(pk=part.pk, joined=None).update(
            joined=upload, position=position, offset=part.offset
        )
        if not is_there:  # it was ended a moment ago
            raise NotJoinable()
    return upload


def get(user: User, upload_id: UUID) -> Upload:
    """Return an upload of the user, however it stands, with its true offset.

    Raises NotVisible if it is unknown, of another user, or ended long ago; UploadGone if its bytes are
    lost.
    """
    upload = Upload.objects.filter(pk=upload_id, user=user).select_related("user").first()
    if upload is None:
        raise NotVisible()
    if upload.state == Upload.State.OPEN and not upload.joined_id and has_file(upload):
        try:
            upload.offset = spool.offset_of(upload.pk)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                raise storage.refusal_of(error) from error
            storage.require()
            upload.refresh_from_db(fields=["state", "offset"])  # perhaps it was finished just now
            if upload.state == Upload.State.OPEN:
                raise UploadGone("The bytes of this upload are lost. Begin a new one.") from None
    return upload


def find(user: User, upload_id: UUID) -> Upload:
    """Return an upload as ``get`` does. Raises UploadGone if it has expired or failed, too."""
    upload = get(user, upload_id)
    if upload.state == Upload.State.FAILED:
        raise UploadGone(f"This upload was refused: {upload.error_detail} Begin a new one.")
    if upload.state == Upload.State.EXPIRED or _is_overdue(upload):
        raise UploadGone("This upload has expired. Begin a new one.")
    return upload


def is_joined(upload: Upload) -> bool:
    return upload.kind == Upload.Kind.JOINED


def has_file(upload: Upload) -> bool:
    """Return whether the bytes of an open upload are in a file of its own on a web host."""
    return upload.kind in {Upload.Kind.WHOLE, Upload.Kind.PART}


def writer_of(upload: Upload) -> spool.Writer:
    """Return the writer of an upload that is under way. Raises UploadBusy and UploadGone."""
    try:
        writer = spool.Writer.of(upload.pk)
    except FileNotFoundError:
        raise UploadGone() from None
    if writer is None:
        raise UploadBusy()
    return writer


def note(upload: Upload, *, offset: int) -> None:
    """Write down what has arrived, and let the time until the upload expires begin anew."""
    upload.offset, upload.expires_at = offset, expiry()
    Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(
        offset=upload.offset, length=upload.length, expires_at=upload.expires_at
    )


@transaction.atomic
def take_room(upload: Upload, end: int) -> None:
    """Let a length that is told now, or bytes up to ``end`` without one, count before they come.

    Otherwise requests at the same moment would each find the room of all. ``note`` corrects it. Raises
    UploadQuotaExceeded.
    """
    User.objects.select_for_update(no_key=True).get(pk=upload.user_id)
    refuse_beyond_quota(upload, upload.length or end)
    Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(
        offset=end, length=upload.length
    )


def terminate(upload: Upload) -> None:
    """End an upload and forget its bytes. The video of a finished one stays.

    Raises UploadBusy while it is written, and NotJoinable if it is a part of another one.
    """
    if upload.joined_id:
        raise NotJoinable("This upload is a part of another one. End that one instead.")
    if upload.state != Upload.State.OPEN:
        Upload.objects.filter(pk=upload.pk).delete()
        return
    parts = list(upload.parts.values_list("pk", flat=True))
    writer = None
    if is_joined(upload):
        if spool.path_of(upload.pk).exists():
            writer = writer_of(upload)
    else:
        writer = writer_of(upload)
    try:
        # The row first: a file without a row is removed later, a row without a file is an error.
        with transaction.atomic():
            row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
            if row is not None and row.joined_id:  # since it was read
                raise NotJoinable()
            Upload.objects.filter(pk=upload.pk).delete()
        for upload_id in (upload.pk, *parts):
            spool.remove(upload_id)
    finally:
        if writer is not None:
            writer.close()


def refuse_bytes(upload: Upload) -> None:
    """Raise JoinedUpload or DirectUpload if the upload takes no bytes here."""
    if is_joined(upload):
        raise JoinedUpload()
    if upload.kind == Upload.Kind.DIRECT:
        raise DirectUpload()


def _target(user: User, upload: Upload, wanted: Wanted) -> Video | None:
    """Set the video of an upload, or the title and id of the one that it will make; return the video."""
    named = wanted.values.get("video_id")
    if named is None:
        upload.title = _title(wanted.values.get("title") or upload.filename[:200])
        upload.video_id, upload.makes_video = uuid7(), True
        return None
    try:
        upload.video_id = parse(named)
    except ValueError:
        raise InvalidHeader("Upload-Metadata", "has a video_id that is no id.") from None
    return video_for(user, upload.video_id)


def video_for(user: User, video_id: UUID) -> Video:
    """Return a video whose file the user may replace. Raises NotVisible and PermissionDenied."""
    video = Video.objects.visible_to(user).select_related("creator").filter(pk=video_id).first()
    if video is None:
        raise NotVisible()
    if not OwnsVideo.allows(user, video, "upload"):
        raise PermissionDenied(OwnsVideo.message)
    return video


def _title(text: str) -> str:
    try:
        title: str = Video._meta.get_field("title").clean(text.strip(), None)
    except ValidationError as error:
        raise InvalidHeader("Upload-Metadata", f"has no good title: {error.messages[0]}") from None
    return title


def _parts(user: User, ids: tuple[UUID, ...]) -> list[Upload]:
    """Return the complete parts with these ids, in their order. Raises NotJoinable."""
    found = {
        part.pk: part
        for part in Upload.objects.filter(
            pk__in=ids, user=user, kind=Upload.Kind.PART, state=Upload.State.OPEN
        )
    }
    for part in found.values():
        if not part.joined_id and part.length is not None and not _is_overdue(part):
            try:
                part.offset = spool.offset_of(part.pk)
            except FileNotFoundError:
                raise NotJoinable() from None
    rows = [found[each] for each in ids if each in found and found[each].is_complete]
    if len(rows) < len(ids) or (any(row.joined_id for row in rows) and not _joined_already(rows)):
        raise NotJoinable()
    return rows


def _joined_already(rows: list[Upload]) -> Upload | None:
    """Return the upload that is joined from just these parts in this order, if there is one."""
    joined = rows[0].joined
    if joined is None:
        return None
    parts = joined.parts.order_by("position").values_list("pk", flat=True)
    return joined if list(parts) == [row.pk for row in rows] else None


def _is_overdue(upload: Upload) -> bool:
    """Return whether nothing has come for so long that the upload has expired.

    A complete one is not given up by its client: it waits for the service, at most KEPT.
    """
    if upload.state != Upload.State.OPEN:
        return False
    waits = upload.kind != Upload.Kind.PART and (upload.is_complete or is_joined(upload))
    return upload.expires_at + (KEPT if waits else timedelta(0)) <= timezone.now()


def expiry() -> datetime:
    """Return when an upload expires that has just heard from its client."""
    return timezone.now() + timedelta(hours=settings.UPLOAD_EXPIRE_HOURS)


def overdue() -> list[Upload]:
    """Return the uploads that have expired and are not marked so."""
    due = Upload.objects.filter(
        state=Upload.State.OPEN, expires_at__lte=timezone.now(), joined=None
    ).select_related("user")
    return [upload for upload in due if _is_overdue(upload)]
