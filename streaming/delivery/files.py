"""Published files: the paths that may be read, a cache of open files, and reading without waiting.

``open_published`` and ``_read_blocking`` run in threads. Everything else runs on the event loop, so it
needs no locks.
"""

import asyncio
import errno
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from config import ids
from streaming.delivery.messages import Headers
from streaming.delivery.residency import map_file

CONTENT_TYPES = {
    "m3u8": b"application/vnd.apple.mpegurl",
    "mpd": b"application/dash+xml",
    "mp4": b"video/mp4",
    "m4s": b"video/iso.segment",
    "vtt": b"text/vtt",
    "jpg": b"image/jpeg",
}
# Files that may change while a version stays: the texts that the database decides (videos.presentation).
CHANGING = {"m3u8", "mpd", "vtt"}

# <video id>/<version>/<name>/…, in the characters that our packager writes. No part is empty or
# begins with a dot, so "..", "." and hidden files never match; nor do backslash, NUL and percent sign.
PART = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
PUBLISHED = re.compile(
    rf"(?P<video>{ids.FORM})"
    rf"/{PART}(?:/{PART}){{0,7}}\.(?P<extension>{'|'.join(CONTENT_TYPES)})"
)

SEGMENT_DIGITS = 5  # a video of six hours has 5,400 segments
CHUNK = 512 * 1024  # bytes of one read
# The largest file that is sent in one go. A socket's buffer holds about as much, so that sending it in
# chunks could not stop it earlier when its session ends.
FAST_PATH_BYTES = 4 * 1024 * 1024
KEPT_IN_MEMORY = 16 * 1024  # Playlists and captions are sent without a system call for the file.
_CACHED_FILES = 128  # Each takes two descriptors: the file and its mapping.
_FRESH_SECONDS = 2.0  # A version never changes, but its files are deleted with their video.
# preadv(2): return at once instead of waiting for a disk. Only Linux has it.
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
Identity = tuple[int, int, int, int]
T = TypeVar("T")
_WOULD_BLOCK = {errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def segment_of(name: str) -> int | None:
    """Return the number of a segment, such as 7 for ``…/1080/7.m4s``; None for other files."""
    number = name.rpartition("/")[2].removesuffix(".m4s")
    return int(number) if number.isdecimal() and len(number) <= SEGMENT_DIGITS else None


class OpenFile:
    """An open published file, with the facts that responses need.

    Its descriptor is closed with the last reference to the object, so a request may go on reading a
    file that the cache has dropped. Raises FileNotFoundError for anything but a plain file.
    """

    __slots__ = (
        "checked_at", "content", "content_type", "fd", "identity", "mapping", "may_change",
        "nowait", "segment", "size", "tag", "validator_headers", "whole_headers", "whole_lines",
    )  # fmt: skip

    def __init__(self, fd: int, extension: str, segment: int | None = None):
        self.fd = fd
        self.segment = segment
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a plain file")
        self.size = status.st_size
        self.identity = identity(status)
        # No inode in it: hosts that hold copies with the same times give the same tag.
        self.tag = b'"%x-%x"' % (status.st_size, status.st_mtime_ns)
        self.content_type = CONTENT_TYPES[extension]
        self.may_change = extension in CHANGING
        self.content = os.pread(fd, self.size, 0) if self.size <= KEPT_IN_MEMORY else None
        self.mapping = map_file(fd, status) if self.content is None else None
        self.nowait = True  # until the file system refuses RWF_NOWAIT
        self.checked_at = time.monotonic()
        # Response headers that streaming.delivery.answers and .protocol derive from these facts.
        self.validator_headers: Headers | None = None
        self.whole_headers: Headers | None = None
        self.whole_lines: bytes | None = None

    def is_ready(self) -> bool:
        """Whether the whole file is small enough for one go, and in memory.

        Then either ``content`` or ``mapping`` is set.
        """
        if self.content is not None:
            return True
        if self.mapping is None or self.size > FAST_PATH_BYTES:
            return False
        return self.mapping.resident(0, self.size)

    def __del__(self) -> None:
        os.close(self.fd)


def identity(status: os.stat_result) -> Identity:
    """Return the facts that stay equal as long as a path holds the same, unchanged file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Files:
    """A bounded cache of the open files under ``root``, least recently used files leave first."""

    def __init__(
        self,
        root: Path,
        *,
        bring: Callable[[str], object] | None = None,
        capacity: int = _CACHED_FILES,
        chunk: int = CHUNK,
    ):
        """``bring`` is called in a thread with each name before it is opened, to put the file there."""
        self._root, self._capacity, self.chunk = str(root), capacity, chunk
        self._open: OrderedDict[str, OpenFile] = OrderedDict()
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="delivery-disk")
        self._bring = bring
        # The names that are being brought, in threads of their own: those for the disk must not wait.
        self._brought: dict[str, asyncio.Future[object]] = {}
        self._bringing = ThreadPoolExecutor(16, thread_name_prefix="delivery-bring")

    def cached(self, name: str) -> OpenFile | None:
        """Return the file if it is open and was compared with the disk in the last two seconds."""
        file = self._open.get(name)
        if file is None or time.monotonic() - file.checked_at > _FRESH_SECONDS:
            return None
        self._open.move_to_end(name)
        return file

    async def open(self, name: str, extension: str) -> OpenFile:
        """Open the file ``name``, or return it from the cache when the disk still holds it.

        ``name`` must match PUBLISHED. Raises FileNotFoundError when there is no such plain file,
        other OSErrors when no descriptor is left or the disk fails. Runs in a thread, because a
        directory that is not in memory makes it wait for the disk.
        """
        known = self._open.get(name)
        if known is not None:
            # One request compares it with the disk; meanwhile the others take it from the cache.
            known.checked_at = time.monotonic()
        loop = asyncio.get_running_loop()
        # What was brought may be gone when it is opened, as its place was needed: then once more.
        for is_last in (True,) if self._bring is None else (False, True):
            try:
                if self._bring is not None:
                    await self._await_brought(name, self._bring)
                file = await loop.run_in_executor(
                    self._threads, open_published, self._root, name, extension, known
                )
                break
            except FileNotFoundError:
                if is_last:
                    self._open.pop(name, None)
                    raise
        self._open[name] = file
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
        return file

    async def _await_brought(self, name: str, bring: Callable[[str], object]) -> None:
        """Wait until a file has been brought: once, however many requests wait for it."""
        brought = self._brought.get(name)
        if brought is None:
            brought = asyncio.get_running_loop().run_in_executor(self._bringing, bring, name)
            self._brought[name] = brought
            brought.add_done_callback(lambda _: self._brought.pop(name, None))
        await asyncio.shield(brought)  # a client that leaves does not take it from the others

    def close(self) -> None:
        """Forget all files and let the threads end after their current reads."""
        self._open.clear()
        self._bringing.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=False)

    # --- reading --------------------------------------------------------------------------------

    def read(self, file: OpenFile, offset: int, length: int) -> bytes | memoryview | None:
        """Return up to a chunk from memory, or None when the bytes must come from a disk.

        Empty when the file has become shorter than ``offset``. The memory of a chunk is never used
        again for another one.
        """
        if file.content is not None:
            return file.content[offset : offset + length]
        length = min(length, self.chunk)
        if file.mapping is not None:
            if not file.mapping.resident(offset, length):
                return None
            return file.mapping.view[offset : offset + length]
        if _NOWAIT is None or not file.nowait:
            return None
        # Fresh memory for each chunk: the server keeps a chunk until its client has read it, and does
        # not say when that is.
        view = memoryview(bytearray(length))
        try:
            count = os.preadv(file.fd, [view], offset, _NOWAIT)
        except OSError as error:
            if error.errno not in _WOULD_BLOCK:
                raise
            # EAGAIN is about these bytes; the other errors are about the file system as a whole.
            file.nowait = error.errno == errno.EAGAIN
            return None
        return view[:count]

    async def read_cold(self, file: OpenFile, offset: int, length: int) -> bytes:
        """Return up to a chunk, read in a thread, so that the event loop never waits for a disk."""
        length = min(length, self.chunk)
        return await self.in_thread(_read_blocking, file, length, offset)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Return the result of a function that runs in one of the threads for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _read_blocking(file: OpenFile, length: int, offset: int) -> bytes:
    # The argument is the file, not its descriptor: the reference keeps the descriptor open.
    return os.pread(file.fd, length, offset)


# Errors of the process or of the whole disk, after which a file is not known to be missing.
_NOT_ABOUT_ONE_FILE = {
    errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO,
}  # fmt: skip


def open_published(root: str, name: str, extension: str, known: OpenFile | None) -> OpenFile:
    """Open ``root/name``, or return ``known`` when the path still holds the same file.

    Raises FileNotFoundError when the file is missing, not a plain file, not readable, or reached by a
    symbolic link out of its version's folder; OSError when no descriptor is left or the disk fails.
    """
    path = os.path.join(root, name)
    try:
        if known is not None and identity(os.stat(path)) == known.identity:
            return known
        home = os.path.join(os.path.realpath(root), *name.split("/", 2)[:2])
        real = os.path.realpath(path, strict=True)
        if not real.startswith(home + os.sep):
            raise FileNotFoundError(path)
        # O_NOFOLLOW refuses a link that was put there after the check; with O_NONBLOCK, a named pipe
        # does not block before OpenFile refuses it.
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NOT_ABOUT_ONE_FILE or not os.path.isdir(root):
            # Not a FileNotFoundError: the file may be there as soon as the disk is.
            raise OSError(errno.EIO, f"The folder of videos cannot be used: {error}") from error
        raise FileNotFoundError(path) from error
    return OpenFile(fd, extension, segment_of(name))
