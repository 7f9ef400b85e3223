"""Copies of sources on a machine that works on them."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from config.errors import StorageFull
from videos.storage.base import SOURCES, Damaged
from videos.storage.bucket import Bucket
from videos.storage.objects import has_checksum


class Copies:
    """The copies below ``root``. All workers of the machine share them."""

    def __init__(self, bucket: Bucket, root: Path) -> None:
        self._bucket, self._root = bucket, root

    def get(
        self, name: str, *, size: int | None, checksum: str, on_percent: Callable[[int], None]
    ) -> Path:
        """Return the path of a source's copy, which is whole. One that was cut off is completed.

        Raises Damaged if the object is not the file that was uploaded, FileNotFoundError, StorageFull.
        """
        path = self._root / name
        if path.is_file():
            return path
        with _alone(path.parent):
            if path.is_file():  # another worker of this machine has fetched it meanwhile
                return path
            # Again from the beginning, if what came in two parts is not right together.
            for is_last in (False, True):
                part = self._fetch(name, path, on_percent)
                if not (fault := _fault(part, size, checksum)):
                    break
                part.unlink()
                if is_last:
                    raise Damaged(f"{name} {fault}.")
            part.rename(path)
        return path

    def _fetch(self, name: str, path: Path, on_percent: Callable[[int], None]) -> Path:
        part, tag = path.with_name("part"), path.with_name("etag")
        found = self._bucket.find(name)
        if not tag.is_file() or tag.read_text() != found.etag:
            part.unlink(missing_ok=True)
            tag.write_text(found.etag)
        there = part.stat().st_size if part.is_file() else 0
        free = shutil.disk_usage(self._root).free
        if found.size - there + settings.STORAGE_RESERVE_BYTES > free:
            raise StorageFull()
        stored = self._bucket.download(
            name,
            part,
            etag=found.etag,
            on_bytes=lambda done, size: on_percent(100 * done // max(size, 1)),
        )
        # The same on each machine: workers that share an encode compare their sources by it.
        os.utime(part, ns=(stored.time_ns, stored.time_ns))
        return part

    def names(self) -> Iterator[str]:
        """Yield the names of the sources of which there is a copy, or a part of one."""
        for folder in (self._root / SOURCES).glob("*/*"):
            yield f"{folder.relative_to(self._root).as_posix()}/source"

    def remove(self, name: str) -> None:
        """Remove the copy of a source, or all below a folder of sources."""
        if name.startswith(f"{SOURCES}/"):
            folder = self._root / name.removesuffix("/source")
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # other copies are in it
                folder.parent.rmdir()


def _fault(part: Path, size: int | None, checksum: str) -> str:
    """Return in which way a copy is not the file that was uploaded; "" if it is."""
    found = part.stat().st_size
    if size is not None and found != size:
        return f"has {found} of {size} bytes"
    if not has_checksum(part, checksum):
        return "has another checksum"
    return ""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:  # the lock ends with its process
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
