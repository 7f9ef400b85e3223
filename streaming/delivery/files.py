"""Published files: which path may be read, what is known about it, and reading without blocking.

Everything here but the two functions run in threads belongs to the event loop: no locks.
"""

import asyncio
import errno
import os
import re
import stat
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streaming.delivery.residency import map_file

CONTENT_TYPES = {
    "m3u8": b"application/vnd.apple.mpegurl",
    "mpd": b"application/dash+xml",
    "mp4": b"video/mp4",
    "m4s": b"video/iso.segment",
    "vtt": b"text/vtt",
    "jpg": b"image/jpeg",
}
PLAYLISTS = {"m3u8", "mpd"}

# <video uuid>/<version>/<name>/… in the characters our own packager writes: no empty part, no dot
# first (so neither "..", "." nor dotfiles), no backslash, no NUL, no percent sign.
_PART = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
PUBLISHED = re.compile(
    r"(?P<video>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    rf"/{_PART}(?:/{_PART}){{0,7}}\.(?P<extension>{'|'.join(CONTENT_TYPES)})"
)

CHUNK = 512 * 1024
AT_ONCE = 4 * 1024 * 1024  # as much as a socket holds: no piece of it can be called back anyway
KEPT_IN_MEMORY = 16 * 1024  # playlists and captions: no system call at all
_CACHED_FILES = 128  # two descriptors each: the file and its mapping
_FRESH_SECONDS = 2.0  # a version is immutable, but files go away with their video
_NOWAIT = getattr(os, "RWF_NOWAIT", None)
_WOULD_BLOCK = {errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class OpenFile:
    """An open published file. Its descriptor is closed when the last request lets go of it."""

    __slots__ = (
        "checked_at", "content", "content_type", "fd", "identity", "is_playlist", "mapping",
        "nowait", "size", "tag", "variants",
    )  # fmt: skip

    def __init__(self, fd: int, extension: str):
        self.fd = fd
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a plain file")
        self.size = status.st_size
        self.identity = identity(status)
        # Equal on every host that has a copy with the same times: no inode in it.
        self.tag = b'"%x-%x"' % (status.st_size, status.st_mtime_ns)
        self.content_type = CONTENT_TYPES[extension]
        self.is_playlist = extension in PLAYLISTS
        self.content = os.pread(fd, self.size, 0) if self.size <= KEPT_IN_MEMORY else None
        self.mapping = map_file(fd, status) if self.content is None else None
        self.nowait = _NOWAIT is not None
        self.checked_at = time.monotonic()
        self.variants: dict = {}  # what others derive from these facts: response headers

    def is_ready(self) -> bool:
        """The whole file can be sent without waiting for a disk."""
        if self.content is not None:
            return True
        if self.mapping is None or self.size > AT_ONCE:
            return False
        return self.mapping.resident(0, self.size)

    def __del__(self):
        os.close(self.fd)


def identity(status: os.stat_result) -> tuple:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Files:
    """A bounded cache of open files under ``root``."""

    def __init__(self, root: Path, *, capacity: int = _CACHED_FILES, chunk: int = CHUNK):
        self._root, self._capacity, self.chunk = str(root), capacity, chunk
        self._open: OrderedDict[str, OpenFile] = OrderedDict()
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="delivery-disk")

    def cached(self, name: str) -> OpenFile | None:
        """The file if it is open and was looked at lately."""
        file = self._open.get(name)
        if file is None or time.monotonic() - file.checked_at > _FRESH_SECONDS:
            return None
        self._open.move_to_end(name)
        return file

    async def open(self, name: str, extension: str) -> OpenFile:
        """The file of that name, which PUBLISHED has matched; FileNotFoundError when there is none.

        Names are looked up in a thread: a cold directory blocks as long as a cold file.
        """
        known = self._open.get(name)
        if known is not None:
            known.checked_at = time.monotonic()  # one request looks, the others go on meanwhile
        loop = asyncio.get_running_loop()
        try:
            file = await loop.run_in_executor(
                self._threads, open_published, self._root, name, extension, known
            )
        except FileNotFoundError:
            self._open.pop(name, None)
            raise
        self._open[name] = file
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
        return file

    def close(self) -> None:
        self._open.clear()
        self._threads.shutdown(wait=False)

    # --- reading --------------------------------------------------------------------------------

    def read(self, file: OpenFile, offset: int, length: int) -> bytes | memoryview | None:
        """Up to a chunk of what the page cache holds, or None when a disk would be waited for."""
        if file.content is not None:
            return file.content[offset : offset + length]
        length = min(length, self.chunk)
        if file.mapping is not None:
            if not file.mapping.resident(offset, length):
                return None
            return file.mapping.view[offset : offset + length]
        if not file.nowait:
            return None
        # Fresh memory for each chunk: the server keeps a chunk until its client has read it, and does
        # not say when that is.
        view = memoryview(bytearray(length))
        try:
            count = os.preadv(file.fd, [view], offset, _NOWAIT)
        except OSError as error:
            if error.errno not in _WOULD_BLOCK:
                raise
            file.nowait = error.errno == errno.EAGAIN  # others: this file system never can
            return None
        return view[:count]

    async def read_cold(self, file: OpenFile, offset: int, length: int) -> bytes:
        """Up to a chunk, read in a thread: the event loop never waits for a disk."""
        length = min(length, self.chunk)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _read_blocking, file, length, offset)


def _read_blocking(file: OpenFile, length: int, offset: int) -> bytes:
    return os.pread(file.fd, length, offset)  # holds the file: its descriptor stays open meanwhile


def open_published(root: str, name: str, extension: str, known: OpenFile | None) -> OpenFile:
    """Open ``root/name``, or return ``known`` when that is still the same file.

    FileNotFoundError for what is not there, not a plain file, not readable, or led out of its
    version's folder by a symbolic link.
    """
    path = os.path.join(root, name)
    try:
        if known is not None and identity(os.stat(path)) == known.identity:
            return known
        home = os.path.join(os.path.realpath(root), *name.split("/", 2)[:2])
        real = os.path.realpath(path, strict=True)
        if not real.startswith(home + os.sep):
            raise FileNotFoundError(path)
        # Not followed, not waited for: a link or a named pipe put there since is refused.
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.EIO}:
            raise
        raise FileNotFoundError(path) from error
    return OpenFile(fd, extension)
