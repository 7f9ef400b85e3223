"""The files of all videos in MEDIA_DIR (STORAGE=local). Nothing is copied: files move by rename."""

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from videos import durable
from videos.storage import folder as media_dir
from videos.storage.base import VERSIONS, Reading, Writing

LOCK = ".presentation.lock"  # No hidden file is ever delivered.


class LocalStore:
    is_far = False

    def trouble(self) -> str:
        return ""  # `away` looks at MEDIA_DIR with every store

    def adopt(self, *, is_new: bool) -> None:
        """Do nothing: `folder` makes MEDIA_DIR."""

    def faults(self) -> Iterator[tuple[str, str]]:
        return iter(())  # `config.doctor` looks at MEDIA_DIR

    def delivered(self) -> tuple[Path, Callable[[str], object] | None]:
        return self._path(VERSIONS), None

    def keep(self, file: Path, name: str) -> None:
        target = self._path(name)
        durable.sync(file)
        media_dir.make_folder(target.parent)
        os.replace(file, target)
        durable.sync_names(target.parent, up_to=settings.MEDIA_ROOT)

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def open(self, name: str) -> BinaryIO:
        return self._path(name).open("rb")

    def fetch(
        self, name: str, *, size: int | None, checksum: str, on_percent: Callable[[int], None]
    ) -> Path:
        path = self._path(name)
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def let_go(self, name: str) -> None:
        """Do nothing: it is no copy."""

    def publish(self, folder: Path, name: str, *, lasting: bool) -> Path:
        target = self._path(name)
        if lasting:
            durable.sync_tree(folder)
        media_dir.make_folder(target.parent)
        os.rename(folder, target)
        durable.sync_names(target.parent, up_to=settings.MEDIA_ROOT)
        return target

    def extend(self, folder: Path, name: str) -> None:
        """Do nothing: the folder is the published one."""

    @contextmanager
    def reading(self, name: str) -> Iterator[Reading]:
        yield Reading(self._path(name), _nothing)

    @contextmanager
    def writing(self, name: str) -> Iterator[Writing]:
        folder = self._path(name)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:  # the lock ends with its process
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Writing(folder, _saved)
        finally:
            os.close(handle)

    def files(self, name: str) -> list[str]:
        folder = self._path(name)
        found = (path for path in sorted(folder.rglob("[!.]*")) if path.is_file())
        return [path.relative_to(folder).as_posix() for path in found]

    def damage(self, name: str) -> str | None:
        return None

    def share(self, folder: Path) -> None:
        """Do nothing: workers on other machines have the same MEDIA_DIR."""

    def bring(self, folder: Path) -> None:
        """Do nothing: workers on other machines have the same MEDIA_DIR."""

    def unshare(self, folder: Path) -> None:
        """Do nothing: the folder itself is what was shared."""

    def remove(self, name: str) -> None:
        path = self._path(name)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def below(self, name: str) -> Iterator[str]:
        for path in self._path(name).glob("*/*"):
            yield path.relative_to(settings.MEDIA_ROOT).as_posix()

    def changed_at(self, name: str) -> float | None:
        try:
            return self._path(name).stat().st_mtime
        except FileNotFoundError:  # another worker has removed it
            return None

    def shared_work(self) -> Iterator[str]:
        return iter(())

    def copies(self) -> Iterator[str]:
        return iter(())

    def begin_sweep(self, older_than: float, under_way: Collection[str]) -> bool:
        return True

    def direct(self) -> None:
        return None

    def _path(self, name: str) -> Path:
        path: Path = settings.MEDIA_ROOT / name
        return path


def _saved() -> None:
    """Do nothing: the folder is the published one."""


def _nothing(paths: Iterable[Path]) -> None:
    """Do nothing: all files are in the folder."""
