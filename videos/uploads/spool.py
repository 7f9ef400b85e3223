"""The bytes of an upload on this machine, while it arrives: one file, and one writer at a time.

The size of the file is the upload's offset: what was acknowledged is on the disk, and a process that was
killed in between has acknowledged nothing more. The writer holds flock(2) on the file, which ends with
its process.

Bytes with a checksum do not count before they are checked. Until then the file ``<id>.unchecked`` holds
the offset from which they are; the next writer cuts them off.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings

from videos import durable, storage

FOLDER = "resumable"
UNCHECKED = ".unchecked"
STEP = 64 * 1024 * 1024  # bytes that are copied by one call
# What link(2) and copy_file_range(2) answer where a file system cannot do that.
CANNOT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS}
_CANNOT_COPY = {errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.EPERM}


def folder() -> Path:
    path: Path = settings.MEDIA_ROOT / FOLDER
    return path


def path_of(upload_id: UUID) -> Path:
    return folder() / upload_id.hex


def offset_of(upload_id: UUID) -> int:
    """Return how many bytes of an upload have arrived. Raises FileNotFoundError if it is not here.

    They are on the disk when this returns, so a client that is told may forget them.
    """
    path = path_of(upload_id)
    durable.sync(path)
    size = path.stat().st_size
    with suppress(FileNotFoundError):
        return min(size, int(_mark_of(path).read_text()))
    return size


def remove(upload_id: UUID) -> None:
    """Remove the bytes of an upload. Safe to repeat. Call it as their writer, or without one."""
    path = path_of(upload_id)
    path.unlink(missing_ok=True)
    _mark_of(path).unlink(missing_ok=True)


class Writer:
    """The one writer of an upload's file. ``close`` it; the end of the process does so too."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle
        mark = _mark_of(path)
        with suppress(FileNotFoundError):
            os.ftruncate(handle, min(os.fstat(handle).st_size, int(mark.read_text())))
            self.sync()
            mark.unlink()
        self.begun_at = self.offset = os.fstat(handle).st_size

    @classmethod
    def create(cls, upload_id: UUID) -> "Writer":
        """Make the file of a new upload, which survives a power cut, and return its writer."""
        path = path_of(upload_id)
        storage.make_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        durable.sync_names(path.parent, up_to=settings.MEDIA_ROOT)
        return cls(path, handle)

    @classmethod
    def of(cls, upload_id: UUID) -> "Writer | None":
        """Return the writer of an upload, or None if there is another one.

        Raises FileNotFoundError if the upload is not here.
        """
        path = path_of(upload_id)
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():  # removed while we waited for the lock
                raise FileNotFoundError(errno.ENOENT, "removed", str(path))
            return cls(path, handle)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise

    def write(self, data: bytes) -> None:
        unwritten = memoryview(data)
        while unwritten:
            written = os.pwrite(self._handle, unwritten, self.offset)
            self.offset += written
            unwritten = unwritten[written:]

    def append(self, other: Path, *, begin: int) -> None:
        """Append the bytes of another file, from ``begin`` on, without passing them through here."""
        with other.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            while begin < size:
                count = self._copy(source.fileno(), begin, min(STEP, size - begin))
                begin, self.offset = begin + count, self.offset + count

    def _copy(self, source: int, begin: int, count: int) -> int:
        try:
            copied: int = os.copy_file_range(source, self._handle, count, begin, self.offset)
            if copied:
                return copied
        except AttributeError:  # not on this system
            pass
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
        return os.pwrite(
            self._handle, os.pread(source, min(count, 1024 * 1024), begin), self.offset
        )

    def doubt(self) -> None:
        """Let what is written from here on count only after ``keep``."""
        durable.replace(_mark_of(self.path), str(self.offset).encode())

    def keep(self) -> None:
        """Make all that was written durable, and let it count."""
        self.sync()
        mark = _mark_of(self.path)
        if mark.exists():
            mark.unlink()
            durable.sync(mark.parent)
        self.begun_at = self.offset

    def forget(self) -> None:
        """Cut off all that was written since the last ``keep``."""
        os.ftruncate(self._handle, self.begun_at)
        self.offset = self.begun_at
        self.keep()

    def sync(self) -> None:
        os.fsync(self._handle)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _mark_of(path: Path) -> Path:
    return path.with_name(path.name + UNCHECKED)
