"""Two stores while an installation moves from one to the other: `manage.py move_storage`.

New files go to the store that STORAGE names. A version, source or poster is read from MEDIA_DIR if it is
there, and else from the bucket. In MEDIA_DIR it appears and disappears at once, by a rename. So it is
whole wherever it is read, in both directions.
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from videos.storage.base import POSTERS, SOURCES, VERSIONS, Reading, Store, Writing
from videos.storage.local import LocalStore

if TYPE_CHECKING:  # it needs boto3, which is optional
    from videos.storage.direct import Direct
    from videos.storage.s3 import S3Store


class BothStore:
    def __init__(
        self, local: LocalStore, bucket: "S3Store", root: Path, *, to_bucket: bool
    ) -> None:
        self.local, self.bucket, self._root = local, bucket, root
        self._new: Store = bucket if to_bucket else local
        self.is_far = to_bucket

    def _at(self, name: str) -> Store:
        """Return the store in which the version, source or poster of this name is."""
        return self.local if self.is_local(name) else self.bucket

    def is_local(self, name: str) -> bool:
        return os.path.lexists(self._root / "/".join(name.split("/")[:3]))

    def trouble(self) -> str:
        return self._new.trouble()

    def adopt(self, *, is_new: bool) -> None:
        # The videos of the database are still in MEDIA_DIR, so an empty bucket is no other one.
        self.bucket.adopt(is_new=is_new or self._new is self.bucket)

    def faults(self) -> Iterator[tuple[str, str]]:
        return self.bucket.faults()

    def delivered(self) -> tuple[Path, Callable[[str], object] | None]:
        cache, bring = self.bucket.delivered()

        def bring_either(name: str) -> None:
            here, there = self._root / VERSIONS / name, cache / name
            for is_last in (False, True):
                try:
                    if self.is_local(f"{VERSIONS}/{name}"):
                        _link(here, there)
                    elif bring is not None:
                        bring(name)
                    return
                except FileNotFoundError:  # perhaps it has moved between the two steps
                    if is_last:
                        raise

        return cache, bring_either

    def keep(self, file: Path, name: str) -> None:
        self._new.keep(file, name)

    def exists(self, name: str) -> bool:
        # Asked again, because it may have moved between the two steps.
        return self._at(name).exists(name) or self._at(name).exists(name)

    def open(self, name: str) -> BinaryIO:
        with suppress(FileNotFoundError):
            return self._at(name).open(name)
        return self._at(name).open(name)  # it has moved between the two steps

    def fetch(
        self, name: str, *, size: int | None, checksum: str, on_percent: Callable[[int], None]
    ) -> Path:
        return self._at(name).fetch(name, size=size, checksum=checksum, on_percent=on_percent)

    def let_go(self, name: str) -> None:
        self.bucket.let_go(name)

    def publish(self, folder: Path, name: str, *, lasting: bool) -> Path:
        return self._new.publish(folder, name, lasting=lasting)

    def extend(self, folder: Path, name: str) -> None:
        self._new.extend(folder, name)

    def reading(self, name: str) -> AbstractContextManager[Reading]:
        return self._at(name).reading(name)

    def writing(self, name: str) -> AbstractContextManager[Writing]:
        return self._at(name).writing(name)

    def files(self, name: str) -> list[str]:
        return self._at(name).files(name)

    def damage(self, name: str) -> str | None:
        return self._at(name).damage(name)

    def share(self, folder: Path) -> None:
        self._new.share(folder)

    def bring(self, folder: Path) -> None:
        self._new.bring(folder)

    def unshare(self, folder: Path) -> None:
        self.bucket.unshare(folder)

    def remove(self, name: str) -> None:
        self.local.remove(name)
        self.bucket.remove(name)

    def below(self, name: str) -> Iterator[str]:
        yield from {*self.local.below(name), *self.bucket.below(name)}

    def changed_at(self, name: str) -> float | None:
        found = (self.local.changed_at(name), self.bucket.changed_at(name))
        return max((each for each in found if each is not None), default=None)

    def shared_work(self) -> Iterator[str]:
        return self.bucket.shared_work()

    def copies(self) -> Iterator[str]:
        return self.bucket.copies()

    def begin_sweep(self, older_than: float, under_way: Collection[str]) -> bool:
        return self.bucket.begin_sweep(older_than, under_way)

    def direct(self) -> "Direct | None":
        return self._new.direct()


def has_files(root: Path) -> bool:
    """Return whether there is a version, source or poster in MEDIA_DIR."""
    return any(
        next((root / kind).glob("*/*"), None) is not None for kind in (VERSIONS, SOURCES, POSTERS)
    )


def _link(file: Path, link: Path) -> None:
    """Make ``link`` the same file as ``file``. Raises FileNotFoundError if there is none."""
    status = file.stat()
    with suppress(FileNotFoundError, NotADirectoryError):
        if os.path.samestat(status, link.stat()):
            return
    link.parent.mkdir(parents=True, exist_ok=True)
    beside = link.with_name(f".{link.name}.{os.getpid()}-{status.st_ino}")
    beside.unlink(missing_ok=True)
    try:
        os.link(file, beside)
        beside.rename(link)
    finally:
        beside.unlink(missing_ok=True)
