"""Direct uploads: clients send parts of a file to the bucket, and only the bucket is believed.

The bucket's upload in parts is begun here, and its id stays with the service. So nobody can make the
object but the service, and the addresses that it has signed are good for nothing afterwards.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from rest_framework.exceptions import APIException, ValidationError

from accounts.models import User
from config.errors import NotVisible, ServiceUnavailable
from videos import storage
from videos.errors import (
    DirectUnavailable,
    NotDirect,
    PartsMismatch,
    StorageAway,
    UploadBusy,
    UploadDamaged,
    UploadGone,
)
from videos.models import Upload
from videos.services import completing, resuming
from videos.storage.locks import alone
from videos.storage.objects import Part, Sent, joint_etag_of, parts_checksum
from videos.uploads.received import ArrivedObject
from videos.uploads.tus import Wanted

if TYPE_CHECKING:  # it needs boto3, which is optional
    from videos.storage.direct import Direct

logger = logging.getLogger(__name__)

PART_BYTES = 16 * 1024**2
PARTS_MAX = 1000
STEP = 1024**2  # larger parts are a whole number of these
SIGNED_SECONDS = 3600  # in which a client begins to send a part
SIGNED_AT_ONCE = 100
# A server that does not answer may still be making the object; only then it is known to be lost.
LOST_AFTER = timedelta(minutes=10)
TOLD_FAULTS = 10
NOTHING: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class Piece:
    """A part of an upload for its client: with its ``url`` to be sent, or as the bucket has it."""

    number: int
    size: int
    etag: str | None = None
    url: str | None = None


def begin(user: User, *, length: int, values: Mapping[str, str]) -> Upload:
    """Begin an upload in parts in the bucket, and return it.

    ``values`` are those of tus: ``filename``, and ``video_id`` or ``title``. Of a refused one nothing
    stays in the bucket. Raises DirectUnavailable, and what `resuming.plan` and `resuming.create` raise.
    """
    way = _way()
    upload = resuming.plan(user, Wanted(Upload.Kind.DIRECT, length, values=values))
    upload.object_name = storage.source_name(_video_id(upload))
    upload.part_size = part_size(length)
    with storage.refusing():
        upload.multipart_id = way.begin(upload.object_name)
    try:
        return resuming.create(upload)
    except BaseException:
        with suppress(OSError):  # then it is given up a day later, as one without a row
            way.give_up(upload.object_name, upload.multipart_id)
        raise


def part_size(length: int) -> int:
    """Return the size of all parts but the last one. S3 takes no others below 5 MiB."""
    least = -(-length // PARTS_MAX)
    return max(PART_BYTES, -(-least // STEP) * STEP)


def part_count(upload: Upload) -> int:
    length, size = _facts(upload)
    return -(-length // size)


def sign(upload: Upload, numbers: Collection[int]) -> tuple[list[Piece], datetime]:
    """Return the parts with these numbers and the addresses to send them to, and when these expire.

    The time until the upload expires begins anew. Raises NotDirect, DirectUnavailable, UploadGone, and
    ValidationError for a number that the upload does not have.
    """
    _require_direct(upload)
    way = _way()
    if any(not 1 <= number <= part_count(upload) for number in numbers):
        detail = f"This upload has the parts 1 to {part_count(upload)}."
        raise ValidationError({"numbers": [detail]}, "max_value")
    if upload.state != Upload.State.OPEN:
        raise UploadGone("This upload is complete.")
    until = timezone.now() + timedelta(seconds=SIGNED_SECONDS)
    with storage.refusing():
        pieces = [
            Piece(
                number,
                (size := _size_of(upload, number)),
                url=way.sign(
                    upload.object_name, upload.multipart_id, number, size, seconds=SIGNED_SECONDS
                ),
            )
            for number in sorted({*numbers})
        ]
    resuming.note(upload, offset=upload.offset)
    return pieces, until


def first_numbers(upload: Upload) -> range:
    return range(1, min(part_count(upload), SIGNED_AT_ONCE) + 1)


def arrived(upload: Upload) -> list[Piece]:
    """Return the parts that the bucket has; none of an upload that has ended. Raises StorageAway."""
    if upload.state != Upload.State.OPEN:
        return []
    way = _way()
    with storage.refusing():
        parts = _parts_of(way, upload, hastily=True) or []
    return [Piece(each.number, each.size, each.etag) for each in parts]


def complete(upload: Upload, etags: Mapping[int, str]) -> Upload:
    """Make the parts the source of the upload's video, queue its processing once, and return the upload.

    ``etags`` are what the bucket has told the client, by the parts' numbers. All parts must be in the
    bucket, with these ETags and their right sizes. Safe to repeat, also at the same moment.

    Raises NotDirect, DirectUnavailable, PartsMismatch (nothing has changed then), StorageAway (it can be
    repeated, and is done later all the same), UploadGone, UploadDamaged, and what `completing.finish`
    raises.
    """
    _require_direct(upload)
    way = _way()
    etags = {number: etag.strip('"') for number, etag in etags.items()}
    with _alone(upload):
        if upload.state != Upload.State.OPEN:
            return upload
        with storage.refusing():
            parts = _parts_of(way, upload, etags)
            if parts is not None:
                _compare(upload, parts, etags)
                _accept(upload, parts)
            _assemble(way, upload, parts)
    return upload


def complete_waiting() -> int:
    """Complete the uploads whose completion was cut off, and return their number.

    Safe in any number of processes on any number of hosts. Logs what cannot be completed.
    """
    count = 0
    way = storage.store().direct()
    if way is None:
        return 0
    waiting = Upload.objects.filter(
        kind=Upload.Kind.DIRECT, state=Upload.State.OPEN, offset__gt=0
    ).select_related("user")
    for upload in list(waiting):
        try:
            with _alone(upload), storage.refusing():
                if upload.state == Upload.State.OPEN and upload.is_complete:
                    _assemble(way, upload, _parts_of(way, upload))
                    count += 1
        except ServiceUnavailable as refusal:
            logger.warning("The upload %s waits: %s", upload.pk, refusal.detail)
        except APIException as refusal:
            logger.warning("The upload %s was refused: %s", upload.pk, refusal.detail)
    return count


def end(upload: Upload) -> None:
    """End an upload and forget its parts. The video of a complete one stays.

    Raises UploadBusy while it is completed.
    """
    if upload.state != Upload.State.OPEN:
        Upload.objects.filter(pk=upload.pk).delete()
        return
    # The row first: parts without a row are given up a day later, a row without parts is an error.
    ended, _ = Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN, offset=0).delete()
    if not ended:
        raise UploadBusy()
    _forget(upload)


def sweep() -> int:
    """Give up what the bucket has of uploads that have expired or failed, and return their number.

    Safe to repeat, and in any number of processes. A bucket that is away is asked again next time.
    """
    count = 0
    ended = Upload.objects.filter(
        kind=Upload.Kind.DIRECT, state__in=(Upload.State.EXPIRED, Upload.State.FAILED)
    )
    for upload in ended.exclude(multipart_id=""):
        if _forget(upload):
            Upload.objects.filter(pk=upload.pk).update(multipart_id="")
            count += 1
    return count


# --- completing -----------------------------------------------------------------------------------


def _compare(upload: Upload, parts: list[Part], etags: Mapping[int, str]) -> None:
    """Raise PartsMismatch unless the bucket has exactly the parts that the client has sent."""
    there = {each.number: each for each in parts}
    faults = []
    for number in range(1, part_count(upload) + 1):
        part, size = there.pop(number, None), _size_of(upload, number)
        if part is None:
            faults.append(f"part {number} is not there")
        elif part.size != size:
            faults.append(f"part {number} has {part.size} of {size} bytes")
        elif number not in etags:
            faults.append(f"part {number} is not listed")
        elif etags[number] != part.etag:
            faults.append(f"part {number} has the ETag {part.etag}")
    faults += [f"part {number} is none of this upload" for number in sorted({*there, *etags})
               if number > part_count(upload)]  # fmt: skip
    if faults:
        more = len(faults) - TOLD_FAULTS
        told = "; ".join(faults[:TOLD_FAULTS]) + (f"; and {more} more" if more > 0 else "")
        raise PartsMismatch(f"In the bucket, {told}. Send these parts, and complete it again.")


def _accept(upload: Upload, parts: list[Part]) -> None:
    """Note that all parts are there, so that any process can go on. Raises UploadGone."""
    upload.offset, upload.parts_etag = _facts(upload)[0], _tag_of(parts)
    upload.expires_at = resuming.expiry()
    accepted = Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(
        offset=upload.offset, parts_etag=upload.parts_etag, expires_at=upload.expires_at
    )
    if not accepted:
        raise UploadGone()


def _assemble(way: "Direct", upload: Upload, parts: list[Part] | None) -> None:
    """Make the object of the accepted parts, check it, and finish the upload.

    ``parts`` is None if the bucket has no upload in parts any more: it was made an object, or is lost.
    """
    if parts is not None:
        if _tag_of(parts) != upload.parts_etag:
            _reopen(upload)
            raise PartsMismatch()
        with suppress(FileNotFoundError):
            way.assemble(upload.object_name, upload.multipart_id, parts)
    length, size = _facts(upload)
    known = upload.parts_etag if "-" in upload.parts_etag else ""
    try:
        stored = way.find(upload.object_name)
    except FileNotFoundError:
        if upload.is_complete and timezone.now() < _asked_at(upload) + LOST_AFTER:
            raise StorageAway() from None
        raise _refused(
            upload, UploadGone("The bucket has lost this upload. Begin a new one.")
        ) from None
    try:
        Sent(upload.object_name, length, known).check(stored)
    except OSError:
        raise _refused(upload, UploadDamaged()) from None
    checksum = parts_checksum(size, known) if known else ""
    name = upload.filename or "upload"
    arrived = ArrivedObject(upload.object_name, name, stored.size, checksum, upload.video_id)
    try:
        completing.finish(upload, arrived)
    except ServiceUnavailable:
        raise
    except APIException:
        _forget(upload)
        raise


def _refused(upload: Upload, refusal: APIException) -> APIException:
    """Mark the upload as refused for good, forget what the bucket has of it, and return the refusal."""
    completing.fail(upload, refusal)
    _forget(upload)
    return refusal


def _reopen(upload: Upload) -> None:
    """Let the client complete an upload again whose parts have changed since it did."""
    upload.offset, upload.parts_etag = 0, ""
    Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(offset=0, parts_etag="")


def _parts_of(
    way: "Direct", upload: Upload, expected: Mapping[int, str] = NOTHING, *, hastily: bool = False
) -> list[Part] | None:
    """Return the parts that the bucket has, or None if it has no such upload in parts (any more)."""
    try:
        return way.parts(
            upload.object_name, upload.multipart_id, expected=expected, hastily=hastily
        )
    except FileNotFoundError:
        return None


def _tag_of(parts: list[Part]) -> str:
    """Return what tells these parts from others: the ETag of their object, where it is known."""
    if tag := joint_etag_of(parts):
        return tag
    listed = "".join(f"{each.number}:{each.size}:{each.etag}\n" for each in parts)
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def _asked_at(upload: Upload) -> datetime:
    return upload.expires_at - timedelta(hours=settings.UPLOAD_EXPIRE_HOURS)


@contextmanager
def _alone(upload: Upload) -> Iterator[None]:
    """Let one process at a time complete an upload, which is read anew. Raises NotVisible."""
    with alone(settings.MEDIA_ROOT / "scratch" / "locks", f"upload/{upload.pk}"):
        try:
            upload.refresh_from_db()
        except Upload.DoesNotExist:
            raise NotVisible() from None
        yield


# --- the bucket -----------------------------------------------------------------------------------


def _way() -> "Direct":
    way = storage.store().direct()
    if way is None:
        raise DirectUnavailable()
    return way


def _forget(upload: Upload) -> bool:
    """Give up the parts, and remove the object. Return whether the bucket could do so."""
    way = storage.store().direct()
    if way is None:
        return False
    try:
        way.give_up(upload.object_name, upload.multipart_id)
        storage.store().remove(upload.object_name.removesuffix("/source"))
    except OSError:
        return False
    return True


def _require_direct(upload: Upload) -> None:
    if upload.kind != Upload.Kind.DIRECT:
        raise NotDirect()


def _facts(upload: Upload) -> tuple[int, int]:
    """Return the length of a direct upload, and the size of its parts."""
    return upload.length or 0, upload.part_size or PART_BYTES


def _size_of(upload: Upload, number: int) -> int:
    length, size = _facts(upload)
    return min(size, length - (number - 1) * size)


def _video_id(upload: Upload) -> UUID:
    assert upload.video_id is not None  # noqa: S101 - only a part has none
    return upload.video_id
