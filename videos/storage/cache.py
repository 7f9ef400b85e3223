"""A bounded copy on this machine of published files that lie in a bucket.

All processes of a machine share it. An object is fetched once, however many ask for it: the others wait
for a lock that ends with its process. What was not used for the longest time leaves first.

A file is in its place only when it is whole. Its time of change is made of the object's time and ETag:
it says which object it is a copy of, and all machines give it the same ETag. Its time of access is set
here, because many disks are mounted without one.
"""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videos.storage.base import Damaged
from videos.storage.bucket import Bucket
from videos.storage.folder import FULL
from videos.storage.listing import Listings

logger = logging.getLogger(__name__)

CHANGING = (".m3u8", ".mpd", ".vtt")  # files that may change while a version stays
FRESH_SECONDS = 2.0  # between two looks whether such a file has changed
ALIVE_SECONDS = 300.0  # between two looks whether a version has been removed
AWAY_SECONDS = 10.0  # without a look after one that failed: a server that hangs holds requests up
TOUCH_SECONDS = 60.0
ROOM = 0.9  # the part of the limit that is kept when it was reached
ABANDONED_SECONDS = 3600.0
FETCHING = ".fetching"


class Cache:
    """The copies of one machine, in ``root``: at most ``limit`` bytes, beside what is being fetched."""

    def __init__(self, bucket: Bucket, root: Path, limit: int) -> None:
        self._bucket, self.root, self._limit = bucket, root, limit
        self._listings = Listings(bucket)
        self._looked_at: dict[str, float] = {}

    def get(self, name: str) -> Path:
        """Return the path of a copy of an object, and fetch it unless it is there.

        A text that may have changed is compared with the bucket every FRESH_SECONDS; while the bucket is
        away, the copy stands. Raises FileNotFoundError, and OSError if there is no copy to fall back on.
        """
        path = self.root / name
        if self._is_here(name, path):
            return path
        with self._alone(name) as part:
            if not self._is_here(name, path):  # another one may have fetched it meanwhile
                try:
                    self._fetch(name, part, path)
                except OSError as error:
                    if error.errno not in FULL:
                        raise
                    logger.warning("The disk of the copies is full: half of them leave it.")
                    self._halve()
                    self._fetch(name, part, path)
        return path

    def forget(self, name: str) -> None:
        """Remove the copy of an object, or of all objects of a folder."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _is_here(self, name: str, path: Path) -> bool:
        """Return whether there is a copy that may be used.

        Raises FileNotFoundError if the object is gone.
        """
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        now = time.time()
        if now - status.st_atime > TOUCH_SECONDS:
            with suppress(OSError):
                os.utime(path, ns=(int(now * 1e9), status.st_mtime_ns))
        is_text = name.endswith(CHANGING)
        # A segment is there as long as its version is.
        witness = name if is_text else "/".join(name.split("/")[:3]) + "/master.m3u8"
        if name.count("/") < 3:  # a poster
            witness = name
        every = FRESH_SECONDS if is_text else ALIVE_SECONDS
        if time.monotonic() - self._looked_at.get(witness, float("-inf")) < every:
            return True
        try:
            found = self._bucket.find(witness, hastily=True)
        except FileNotFoundError:
            self.forget(name if is_text else "/".join(name.split("/")[:3]))
            raise
        except OSError as error:
            logger.warning("%s cannot be compared with the bucket: %s", name, error)
            self._note(witness, AWAY_SECONDS)
            return True
        is_same = (status.st_mtime_ns, status.st_size) == (found.time_ns, found.size)
        if witness == name and not is_same:
            return False
        self._note(witness)
        return True

    def _note(self, witness: str, pause: float = 0.0) -> None:
        if len(self._looked_at) > 10_000:
            self._looked_at.clear()
        self._looked_at[witness] = time.monotonic() + pause

    def _fetch(self, name: str, part: Path, path: Path) -> None:
        # One attempt after another would take a minute, for which no player waits.
        stored = self._bucket.download(name, part, attempts=1)
        try:
            self._listings.check(name, part)
        except Damaged as error:
            raise OSError(errno.EIO, f"The bucket has a damaged file. {error}") from error
        os.utime(part, ns=(time.time_ns(), stored.time_ns))
        os.chmod(part, 0o600)
        for is_last in (False, False, True):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.rename(path)
                break
            except FileNotFoundError:  # the folder was emptied, and removed, at this moment
                if is_last:
                    raise OSError(errno.EIO, f"{path} cannot be written") from None
        self._note(name)
        self._count(stored.size)

    # --- one at a time ----------------------------------------------------------------------------

    @contextmanager
    def _alone(self, name: str) -> Iterator[Path]:
        """Give an empty file for the object, which nobody else fetches meanwhile on this machine."""
        folder = self.root / FETCHING
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / hashlib.sha256(name.encode()).hexdigest()[:32]
        while True:
            handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    if os.stat(part).st_ino == os.fstat(handle).st_ino:
                        break
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # the file has moved to its place, or was removed
        try:
            yield part
        finally:
            with suppress(FileNotFoundError):
                if os.stat(part).st_ino == os.fstat(handle).st_ino:
                    part.unlink()
            os.close(handle)

    # --- the limit --------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        """Add the bytes of a new copy to those of all processes, and make room beyond the limit."""
        with self._counting() as handle:
            known = os.pread(handle, 8, 0)
            # Without a number, the folder may have anything in it.
            total = struct.unpack("<q", known)[0] + size if len(known) == 8 else self._limit + 1
            if total > self._limit:
                total = self._make_room()
            os.pwrite(handle, struct.pack("<q", total), 0)

    def _halve(self) -> None:
        """Remove half of the copies: others have filled the disk before the limit was reached."""
        with self._counting() as handle:
            os.pwrite(handle, struct.pack("<q", self._make_room(is_full=True)), 0)

    @contextmanager
    def _counting(self) -> Iterator[int]:
        """Give the file with the number of bytes to one process at a time."""
        handle = os.open(
            self.root / FETCHING / ".bytes", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def _make_room(self, *, is_full: bool = False) -> int:
        """Remove the copies that were not used for the longest time. Return the bytes that stay.

        They are ROOM of the limit, or with ``is_full`` at most half of those that are there.
        """
        found, total = [], 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError):
                    status = os.stat(path)
                    if os.path.basename(folder) == FETCHING:
                        if name != ".bytes" and time.time() - status.st_mtime > ABANDONED_SECONDS:
                            _remove_abandoned(path)
                        continue
                    found.append((status.st_atime_ns, status.st_size, path))
                    total += status.st_size
        most = min(self._limit * ROOM, total / 2 if is_full else self._limit)
        for _, size, path in sorted(found):
            if total <= most:
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            with suppress(OSError):  # others are in it
                os.removedirs(os.path.dirname(path))
            total -= size
        return total


def _remove_abandoned(path: str) -> None:
    """Remove what a killed process has begun to fetch, unless it is being fetched after all."""
    with suppress(OSError), open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
