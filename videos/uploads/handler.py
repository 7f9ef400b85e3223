"""The way of an uploaded file: from the socket to the disk, a piece at a time."""

import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile

from config.errors import StorageFull, TooLarge
from config.ids import uuid7
from videos import durable

FIELD = "file"


@dataclass
class ReceivedFile:
    """A complete file on the media file system, with what was learnt on the way.

    Whoever takes it calls ``keep``; otherwise ``close`` removes it.
    """

    path: Path
    name: str
    size: int
    checksum: str

    def keep(self, target: Path) -> None:
        """Move it to its place: durable before this returns, never half there."""
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.path, target)
        durable.sync_names(target.parent, up_to=settings.MEDIA_ROOT)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


class SourceUpload(UploadedFile):
    """What the multipart parser hands to the view; the bytes are in ``received``."""

    def __init__(self, received: ReceivedFile, content_type: str):
        super().__init__(name=received.name, content_type=content_type, size=received.size)
        self.received = received

    def close(self):
        self.received.close()


class SourceUploadHandler(FileUploadHandler):
    """Writes one field, ``file``, straight to the media file system, hashing as it goes.

    Memory stays flat whatever the size. Raises TooLarge over UPLOAD_MAX_BYTES and StorageFull when
    the disk would fall under STORAGE_RESERVE_BYTES, both before the first byte when the request's
    length already says so. What was written is removed again.
    """

    chunk_size = 1024 * 1024
    _file = None
    CHECK_EVERY = 16 * 1024 * 1024

    def handle_raw_input(self, input_data, META, content_length, boundary, encoding=None):
        check_room(content_length)

    def new_file(self, field_name, *args, **kwargs):
        super().new_file(field_name, *args, **kwargs)
        self.file = self  # what the parser closes when the request breaks off
        if field_name != FIELD:
            raise SkipFile
        folder = settings.MEDIA_ROOT / "uploads"
        self._path = folder / uuid7().hex
        with self._or_storage_full():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self._size = 0

    def receive_data_chunk(self, raw_data, start):
        self._size += len(raw_data)
        if self._size > settings.UPLOAD_MAX_BYTES:
            self._discard()
            raise too_large()
        if self._size // self.CHECK_EVERY != start // self.CHECK_EVERY:
            self._check_disk()
        with self._or_storage_full():
            rest = memoryview(raw_data)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(raw_data)

    def file_complete(self, file_size):
        if self._file is None:
            return None
        with self._or_storage_full():
            os.fsync(self._file.fileno())
            self._file.close()
        self._file = None  # from here on it is the file's own matter
        received = ReceivedFile(
            path=self._path,
            name=self.file_name or "",
            size=self._size,
            checksum=f"sha256:{self._hash.hexdigest()}",
        )
        return SourceUpload(received, self.content_type or "")

    def upload_interrupted(self):
        self._discard()

    def close(self):
        self._discard()

    @contextmanager
    def _or_storage_full(self):
        try:
            yield
        except OSError as error:
            self._discard()
            raise StorageFull() from error

    def _check_disk(self):
        try:
            check_room(0)
        except StorageFull:
            self._discard()
            raise

    def _discard(self):
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
            self._file = None


def check_room(announced: int) -> None:
    """Refuse what cannot fit. ``announced`` is the request's length in bytes, 0 if unknown."""
    if announced > settings.UPLOAD_MAX_BYTES + 1024 * 1024:  # the form around the file
        raise too_large()
    free = shutil.disk_usage(settings.MEDIA_ROOT).free
    if announced + settings.STORAGE_RESERVE_BYTES > free:
        raise StorageFull()


def too_large() -> TooLarge:
    return TooLarge(f"A file may have at most {settings.UPLOAD_MAX_BYTES} bytes.")
