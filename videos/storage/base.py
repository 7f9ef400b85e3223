"""What a store of files promises. ``local`` and ``s3`` keep it."""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from config.ids import uuid7

if TYPE_CHECKING:
    from videos.models import Video
    from videos.storage.direct import Direct  # it needs boto3, which is optional

VERSIONS, SOURCES, POSTERS, WORK = "videos", "sources", "posters", "work"


def version_name(video: "Video", version: str = "") -> str:
    """Return the name of the folder of a version, by default of the current one."""
    return f"{VERSIONS}/{video.pk}/{version or video.current_version}"


def source_name(video_id: uuid.UUID) -> str:
    """Return a new name for a source of the video with this id."""
    return f"{SOURCES}/{video_id}/{uuid7().hex}/source"


def poster_name(video: "Video", tag: str = "") -> str:
    """Return the name of the poster with this tag, by default of the one that the video shows."""
    if tag := tag or video.poster_tag:
        return f"{POSTERS}/{video.pk}/{tag}.jpg"
    return f"{version_name(video)}/poster.jpg"


class Reading(NamedTuple):
    """A version that is being read: its ``folder``, and how to make sure that files are in it.

    Call ``bring`` with the paths of the files before reading them.
    """

    folder: Path
    bring: Callable[[Iterable[Path]], None]


class Writing(NamedTuple):
    """A version that is being changed: its ``folder``, which has the version's name, and ``save``.

    Call ``save`` after changes: they are published then.
    """

    folder: Path
    save: Callable[[], None]


class Store(Protocol):
    """The files of all videos, by name.

    Names are relative, with slashes. Whatever fails raises OSError: FileNotFoundError for a file that is
    not there, an error of ``storage.AWAY`` if the store cannot be reached.
    """

    is_far: bool  # keeping a file takes as long as sending its bytes

    def trouble(self) -> str:
        """Return why the store as a whole cannot be used now, as a sentence; "" if it can."""

    def adopt(self, *, is_new: bool) -> None:
        """Make the store ready. ``is_new``: no video of the database has a file yet."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Look closely at the store, and yield what is wrong with it and what to do about it."""

    def delivered(self) -> tuple[Path, Callable[[str], object] | None]:
        """Return the folder from which the delivery sends the files of versions.

        If they must be brought there, return also the function that brings one, by its name in it.
        """

    def keep(self, file: Path, name: str) -> None:
        """Move a finished file of MEDIA_DIR to its place. Afterwards it survives a power cut."""

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""

    def open(self, name: str) -> BinaryIO:
        """Open a file of a version, or a poster, to read it."""

    def fetch(
        self, name: str, *, size: int | None, checksum: str, on_percent: Callable[[int], None]
    ) -> Path:
        """Return the path of a source on this machine.

        ``size`` and ``checksum`` are those of the upload, if they are known. ``on_percent`` is called
        while it is copied here; an exception in it stops that. Raises Damaged if it is another file.
        """

    def let_go(self, name: str) -> None:
        """Remove the copy of a source on this machine, if it is only a copy."""

    def publish(self, folder: Path, name: str, *, lasting: bool) -> Path:
        """Make a finished folder of MEDIA_DIR the folder of a version, and return where it is now.

        It is complete when this returns. ``lasting``: it survives a power cut. What is written into the
        returned folder later needs ``extend``.
        """

    def extend(self, folder: Path, name: str) -> None:
        """Publish what is new in the folder that ``publish`` returned: playlists last."""

    def reading(self, name: str) -> AbstractContextManager[Reading]:
        """Give the folder of a version to read files in it."""

    def writing(self, name: str) -> AbstractContextManager[Writing]:
        """Give the folder of a version, with all files but segments and pictures, to change texts in it.

        One process at a time has it; others wait.
        """

    def files(self, name: str) -> list[str]:
        """Return the names of a version's files, relative to its folder."""

    def damage(self, name: str) -> str | None:
        """Return which file of a version is missing or damaged; "" if none is, None if it is unknown."""

    def share(self, folder: Path) -> None:
        """Let workers on other machines have the files of a folder of MEDIA_DIR."""

    def bring(self, folder: Path) -> None:
        """Get the files that another machine has shared in this folder of MEDIA_DIR."""

    def unshare(self, folder: Path) -> None:
        """Remove what was shared in this folder of MEDIA_DIR, and below it. Safe to repeat."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it. Safe to repeat."""

    def below(self, name: str) -> Iterator[str]:
        """Yield the names of the files and folders two steps below a folder, as ``name/video/each``."""

    def changed_at(self, name: str) -> float | None:
        """Return when a file or folder was last changed, in seconds since 1970; None if it is gone."""

    def shared_work(self) -> Iterator[str]:
        """Yield the names of the folders of jobs that have shared files, as ``work/job``."""

    def copies(self) -> Iterator[str]:
        """Yield the names of sources of which this machine has copies."""

    def begin_sweep(self, older_than: float, under_way: Collection[str]) -> bool:
        """Return whether it is time to look for files in the store that no row names.

        It gives up uploads in parts that began before ``older_than``, but not those ``under_way``.
        """

    def direct(self) -> "Direct | None":
        """Return the way on which clients send files themselves, or None if there is none."""


class Damaged(Exception):
    """A stored source is not the file that was uploaded: another size, or another checksum."""
