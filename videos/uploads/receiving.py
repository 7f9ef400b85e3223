"""The bytes of one request of the tus protocol on their way to the disk.

`begin` decides before the first byte. Then the transfer is fed, by the upload application on the event
loop or, under another server, by the request's own thread (`receive`), and Django answers.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError
from rest_framework.exceptions import APIException, PermissionDenied, UnsupportedMediaType

from config import ids
from config.errors import TooLarge
from videos import storage
from videos.errors import (
    ChecksumMismatch,
    InvalidHeader,
    LengthRequired,
    OffsetMismatch,
    UploadCut,
)
from videos.models import Upload
from videos.permissions import MayUpload
from videos.services import completing, resuming
from videos.uploads import spool, tus
from videos.uploads.received import ReceivedFile, check_room, too_large

KEY = "vod.transfer"  # in the request's environment: the transfer, or the refusal
JOINED_KEY = "vod.joined"  # there, for the upload application: the upload that it has to join
ROUTE = re.compile(rf"{tus.PATH.rstrip('/')}(?:/(?P<upload>{ids.FORM}))?/?")
CHECK_EVERY = 16 * 1024 * 1024  # bytes between two looks at the free space
CHUNK = 1024 * 1024


class Transfer:
    """One request's bytes. Call ``close`` in any case.

    ``feed`` raises TooLarge for more bytes than the upload has room for, StorageFull and StorageAway;
    ``complete`` raises ChecksumMismatch. Call ``stop`` when the bytes end early, for any reason.
    """

    def __init__(
        self, upload: Upload, writer: spool.Writer, *, most: int, checksum: tus.Checksum | None
    ) -> None:
        self.upload = upload
        self.received: ReceivedFile | None = None
        self.refusal: APIException | None = None  # why the bytes ended early
        self.has_all = False  # whether the request's body has been read to its end
        self.is_new = upload._state.adding
        self._writer, self._end = writer, writer.offset + most
        self._checksum = checksum
        self._digest: Any = checksum.new() if checksum else None
        # Of a file that comes in one request, so that it need not be read again.
        self._whole = tus.Checksum("sha256", b"").new() if writer.offset == 0 else None
        self._is_kept = not self.is_new
        if checksum:
            with storage.refusing():
                writer.doubt()

    @property
    def offset(self) -> int:
        return self._writer.offset

    @property
    def is_whole(self) -> bool:
        """Whether the upload has all its bytes, and a video to go to."""
        return self.offset == self.upload.length and self.upload.kind != Upload.Kind.PART

    def feed(self, data: bytes) -> None:
        before = self.offset
        if before + len(data) > self._end:
            with storage.refusing():
                self._writer.forget()
            raise _beyond(self._end - self._writer.offset)
        if before // CHECK_EVERY != (before + len(data)) // CHECK_EVERY:
            check_room(0)
        with storage.refusing():
            self._writer.write(data)
        for digest in (self._digest, self._whole):
            if digest is not None:
                digest.update(data)

    def complete(self) -> None:
        """Check the bytes against their checksum, and make them durable."""
        with storage.refusing():
            if self._checksum and self._digest.digest() != self._checksum.digest:
                self._writer.forget()
                raise ChecksumMismatch()
            self._writer.keep()

    def stop(self, refusal: APIException) -> None:
        """Note why the bytes ended early. Keep what has come, unless it cannot be checked any more."""
        self.refusal = refusal
        with suppress(OSError):  # the next writer keeps or forgets it
            if self._checksum is None:
                self._writer.keep()
            else:
                self._writer.forget()

    def settle(self) -> None:
        """Make the received file of a complete upload (`completing.settle`).

        A store that is away is no refusal here: the bytes are safe, and are sent later.
        """
        if not self.is_whole:
            return
        try:
            known = self._whole.hexdigest() if self._whole else ""
            self.received = completing.settle(self.upload, self._writer, known)
        except APIException as refusal:
            if refusal.status_code < 500:
                raise

    def answer(self) -> Upload:
        """Write down what has come, finish the upload if it is complete, and return it.

        Raises the ``refusal``, and what `resuming.create` and `completing.finish` raise.
        """
        if self.refusal is not None:
            if not self.is_new:
                resuming.note(self.upload, offset=self.offset)
            raise self.refusal
        if self.is_new:
            self.upload.offset = self.offset
            resuming.create(self.upload)
            self.is_new, self._is_kept = False, True
        resuming.note(self.upload, offset=self.offset)
        if self.received is not None:
            received, self.received = self.received, None
            try:
                completing.finish(self.upload, received)
            except APIException as refusal:
                if refusal.status_code < 500:
                    raise
        return self.upload

    def close(self) -> None:
        """Let the next writer in. The file of an upload that was not stored is removed."""
        if self.received is not None:
            self.received.close()
        if not self._is_kept:
            spool.remove(self.upload.pk)
        self._writer.close()


def begin(user: Any, upload_id: UUID | None, headers: Mapping[str, str]) -> Transfer | None:
    """Return the transfer of a request that sends bytes, before its first byte; nothing is stored yet.

    None for a creation without bytes. Raises what may be known before: PermissionDenied, TusVersion,
    UnsupportedMediaType, InvalidHeader, NotVisible, UploadGone, UploadBusy, OffsetMismatch, TooLarge,
    UploadQuotaExceeded, JoinedUpload, LengthRequired, StorageFull and StorageAway.
    """
    if not user.has_perm("videos.add_video"):
        raise PermissionDenied(MayUpload.message)
    tus.require_version(headers)
    announced = tus.number(headers, "Content-Length")
    if upload_id is None and not announced and "Transfer-Encoding" not in headers:
        return None
    if headers.get("Content-Type") != tus.CONTENT_TYPE:
        raise UnsupportedMediaType(headers.get("Content-Type", ""))
    checksum = tus.checksum(headers)
    if upload_id is None:
        upload = resuming.plan(user, tus.wanted(headers))
        resuming.refuse_bytes(upload)
        most = _most(upload, 0, announced)
        with storage.refusing():
            writer = spool.Writer.create(upload.pk)
    else:
        upload = resuming.find(user, upload_id)
        resuming.refuse_bytes(upload)
        offset = tus.offset(headers)
        if upload.state == Upload.State.DONE or upload.joined_id:
            raise OffsetMismatch(upload.offset)
        writer = resuming.writer_of(upload)
        try:
            if offset != writer.offset:
                raise OffsetMismatch(writer.offset)
            is_told = _take_length(upload, headers, offset)
            most = _most(upload, offset, announced)
            if is_told or upload.length is None:
                resuming.take_room(upload, offset if is_told else offset + most)
        except BaseException:
            writer.close()
            raise
    try:
        return Transfer(upload, writer, most=most, checksum=checksum)
    except BaseException:
        writer.close()
        raise


def begin_rest(user: Any, upload_id: UUID, headers: Mapping[str, str]) -> Transfer | None:
    """Return the transfer of a complete upload that its process could not finish, or None."""
    if not user.has_perm("videos.add_video") or headers.get("Tus-Resumable") != tus.VERSION:
        return None
    upload = resuming.find(user, upload_id)
    writer = None if resuming.is_joined(upload) else completing.unfinished(upload)
    return Transfer(upload, writer, most=0, checksum=None) if writer else None


def receive(request: HttpRequest, transfer: Transfer) -> None:
    """Feed a transfer from the request's body, in this thread: under another server than ours."""
    try:
        while data := request.read(CHUNK):
            transfer.feed(data)
        transfer.complete()
        transfer.settle()
    except UnreadablePostError:
        transfer.stop(UploadCut())
    except APIException as refusal:
        transfer.stop(refusal)


def _take_length(upload: Upload, headers: Mapping[str, str], offset: int) -> bool:
    """Take over a length that was deferred, and return whether one is told now.

    Raises InvalidHeader, EmptyUpload and TooLarge.
    """
    length = tus.number(headers, "Upload-Length")
    if length is None or length == upload.length:
        return False
    if upload.length is not None:
        raise InvalidHeader("Upload-Length", "cannot be changed.")
    if length < offset:
        raise InvalidHeader("Upload-Length", f"is less than the {offset} bytes that are there.")
    upload.length = length
    resuming.check_length(upload)
    return True


def _most(upload: Upload, offset: int, announced: int | None) -> int:
    """Return how many bytes a request may send. Raises TooLarge if it announces more."""
    if upload.length is None:
        if announced is None:
            raise LengthRequired()
        if offset + announced > settings.UPLOAD_MAX_BYTES:
            raise too_large()
        resuming.refuse_beyond_quota(upload, offset + announced)
        check_room(announced)
        return announced
    most = upload.length - offset
    if (announced or 0) > most:
        raise _beyond(most)
    check_room(announced or 0)
    return most


def _beyond(room: int) -> TooLarge:
    return TooLarge(f"The upload has room for {room} more bytes.")
