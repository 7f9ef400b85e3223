"""Receiving an uploaded file: from the socket to the disk in chunks, without holding it in memory."""

import hashlib
import io
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
FORM_BYTES = 1024 * 1024  # allowed for the other fields of the form


@dataclass
class ReceivedFile:
    """A complete uploaded file, still in the uploads folder: size in bytes, checksum "sha256:<hex>".

    Call ``keep`` to move it to its final place. ``close`` removes it if it was not moved.
    """

    path: Path
    name: str
    size: int
    checksum: str

    def keep(self, target: Path) -> None:
        """Move the file to ``target``, below MEDIA_ROOT, by an atomic rename.

        When this returns, the file would survive a power cut.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.path, target)
        durable.sync_names(target.parent, up_to=settings.MEDIA_ROOT)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


class SourceUpload(UploadedFile):
    """The uploaded file as the multipart parser returns it. The bytes are in ``received``."""

    def __init__(self, received: ReceivedFile, content_type: str):
        super().__init__(name=received.name, content_type=content_type, size=received.size)
        self.received = received

    def close(self):
        self.received.close()


class SourceUploadHandler(FileUploadHandler):
    """Writes the field ``file`` of a form to the uploads folder, and computes its SHA-256 meanwhile.

    Files of other fields are skipped. The memory used does not depend on the file's size.

    Raises TooLarge for more than UPLOAD_MAX_BYTES, and StorageFull if the disk is full or less than
    STORAGE_RESERVE_BYTES of it would stay free. Both are raised before the first byte if the request's
    length is enough to know. A file that is refused or interrupted is removed from the disk.
    """

    chunk_size = 1024 * 1024
    CHECK_EVERY = 16 * 1024 * 1024
    _file: io.FileIO | None = None

    def handle_raw_input(self, input_data, META, content_length, boundary, encoding=None):
        check_room(content_length)

    def new_file(self, field_name, *args, **kwargs):
        super().new_file(field_name, *args, **kwargs)
        # If the request breaks off, Django's parser closes the ``file`` of each handler.
        self.file = self
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
        file = self._file
        if file is None:
            raise RuntimeError("A chunk has arrived before new_file was called.")
        self._size += len(raw_data)
        if self._size > settings.UPLOAD_MAX_BYTES:
            self._discard()
            raise too_large()
        if self._size // self.CHECK_EVERY != start // self.CHECK_EVERY:
            self._check_disk()
        with self._or_storage_full():
            unwritten = memoryview(raw_data)
            while unwritten:  # an unbuffered file may write less than it was given
                unwritten = unwritten[file.write(unwritten) :]
        self._hash.update(raw_data)

    def file_complete(self, file_size):
        if self._file is None:
            return None
        with self._or_storage_full():
            os.fsync(self._file.fileno())
            self._file.close()
        self._file = None  # from here on ReceivedFile removes the file, not this handler
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
    """Raise TooLarge or StorageFull for a request of ``announced`` bytes; 0 if that is unknown."""
    if announced > settings.UPLOAD_MAX_BYTES + FORM_BYTES:
        raise too_large()
    free = shutil.disk_usage(settings.MEDIA_ROOT).free
    if announced + settings.STORAGE_RESERVE_BYTES > free:
        raise StorageFull()


def too_large() -> TooLarge:
    return TooLarge(
        f"The file is larger than the limit of {settings.UPLOAD_MAX_BYTES} bytes. "
        "Upload a smaller file."
    )
