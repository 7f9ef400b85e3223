"""The files of all videos in a bucket (STORAGE=s3), with MEDIA_DIR as the scratch space of this machine.

Names are keys, below S3_PREFIX. MEDIA_DIR holds what a machine works on, and copies: ``scratch`` has the
sources of the jobs that it carries out, ``cache`` published files.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from videos.storage import folder as media_dir
from videos.storage.base import VERSIONS, WORK, Reading, Writing
from videos.storage.bucket import Bucket
from videos.storage.cache import Cache
from videos.storage.copies import Copies
from videos.storage.direct import Direct
from videos.storage.listing import LISTING, UNCHANGING, Listings, encoded, facts_of
from videos.storage.locks import alone
from videos.storage.objects import Sent, Stored, sent_as
from videos.versions import formats_of

AT_ONCE = 8  # files that are sent or fetched at the same time
SWEEP_SECONDS = 23 * 3600.0
SWEPT = ".swept"
MANIFESTS = (".m3u8", ".mpd")


class S3Store:
    is_far = True

    def __init__(self, bucket: Bucket, root: Path, cache_bytes: int) -> None:
        self._bucket, self._root = bucket, root
        self._cache = Cache(bucket, root / "cache", cache_bytes)
        self._copies = Copies(bucket, root / "scratch")
        self._sent: dict[
            str, dict[str, tuple[int, int]]
        ] = {}  # of growing versions, by their names

    # --- the store as a whole ---------------------------------------------------------------------

    def trouble(self) -> str:
        try:
            self._bucket.find(media_dir.MARK, hastily=True)
        except FileNotFoundError:
            mark = f"{self._bucket.prefix}{media_dir.MARK}"
            reason = f"{mark} in it is missing, so perhaps it is another bucket"
            return f"The bucket {self._bucket.bucket} cannot be used: {reason}."
        except OSError as error:
            return f"The bucket {self._bucket.bucket} cannot be used: {error.strerror}."
        return ""

    def adopt(self, *, is_new: bool) -> None:
        try:
            self._bucket.find(media_dir.MARK)
        except FileNotFoundError:
            if is_new or next(self._bucket.entries(f"{VERSIONS}/"), None):
                self._bucket.write(media_dir.MARK, b"The files of a video service.\n")

    def faults(self) -> Iterator[tuple[str, str]]:
        if trouble := self.trouble():
            yield (
                trouble,
                "Start its server, correct S3_ENDPOINT, S3_BUCKET and the keys, or make it ready: "
                "python manage.py migrate.",
            )
            return
        name = f".doctor-{uuid.uuid4().hex}"
        try:
            self._bucket.write(name, b"x")
            self._bucket.delete(name)
        except OSError as error:
            yield (
                f"The bucket {self._bucket.bucket} cannot be written: {error.strerror}.",
                "Allow the key to put, get, list and delete objects.",
            )
        try:
            if deeds := self._bucket.strangers_may():
                yield (
                    f"Everybody may {' and '.join(deeds)} objects of the bucket {self._bucket.bucket}: "
                    "paid videos are free, or can be replaced by others.",
                    "Remove its public policy, and block public access.",
                )
        except OSError as error:
            yield f"The bucket's access cannot be checked: {error.strerror}.", "Try again."

    def delivered(self) -> tuple[Path, Callable[[str], object] | None]:
        return self._cache.root / VERSIONS, lambda name: self._cache.get(f"{VERSIONS}/{name}")

    # --- single files -----------------------------------------------------------------------------

    def keep(self, file: Path, name: str) -> None:
        self._put([(file, name)])
        file.unlink()

    def exists(self, name: str) -> bool:
        try:
            self._bucket.find(name)
        except FileNotFoundError:
            return False
        return True

    def open(self, name: str) -> BinaryIO:
        return self._cache.get(name).open("rb")

    def fetch(
        self, name: str, *, size: int | None, checksum: str, on_percent: Callable[[int], None]
    ) -> Path:
        return self._copies.get(name, size=size, checksum=checksum, on_percent=on_percent)

    def let_go(self, name: str) -> None:
        self._copies.remove(name)

    # --- versions ---------------------------------------------------------------------------------

    def publish(self, folder: Path, name: str, *, lasting: bool) -> Path:
        files = _files(folder)
        self._put([(file, f"{name}/{_inside(folder, file)}") for file in files])
        if _grows(name):
            self._sent[name] = {_inside(folder, file): _state(file) for file in files}
        else:
            self._bucket.write(f"{name}/{LISTING}", encoded(facts_of(folder)))
        return folder

    def extend(self, folder: Path, name: str) -> None:
        sent = self._sent.setdefault(name, {})
        new = {
            _inside(folder, file): file
            for file in _files(folder)
            if sent.get(_inside(folder, file)) != _state(file)
        }
        # A player that finds a segment in a playlist must find the segment.
        for are_manifests in (False, True):
            batch = {each: new[each] for each in new if each.endswith(MANIFESTS) == are_manifests}
            states = {each: _state(file) for each, file in batch.items()}
            self._put([(file, f"{name}/{each}") for each, file in batch.items()])
            sent.update(states)

    @contextmanager
    def reading(self, name: str) -> Iterator[Reading]:
        with self._folder(name) as folder:

            def bring(paths: Iterable[Path]) -> None:
                missing = [path for path in paths if not path.exists()]
                self._get([(f"{name}/{_inside(folder, path)}", path) for path in missing])

            yield Reading(folder, bring)

    @contextmanager
    def writing(self, name: str) -> Iterator[Writing]:
        with alone(self._root / "scratch" / "locks", name), self._folder(name) as folder:
            texts = [
                each.name
                for each in self._bucket.entries(f"{name}/")
                if not each.name.endswith((*UNCHANGING, f"/{LISTING}"))
            ]
            if not texts:
                raise FileNotFoundError(name)
            self._get([(each, folder / each.removeprefix(f"{name}/")) for each in texts])
            before = _contents(folder)

            def save() -> None:
                nonlocal before
                after = _contents(folder)
                new = [each for each in after if before.get(each) != after[each]]
                # Manifests last: a player must find each file that its manifest names.
                for each in sorted(
                    new, key=lambda each: ("/" not in each, each.endswith(MANIFESTS))
                ):
                    self._put([(folder / each, f"{name}/{each}")])
                for each in before.keys() - after.keys():
                    self._bucket.delete(f"{name}/{each}")
                before = after

            yield Writing(folder, save)

    def files(self, name: str) -> list[str]:
        names = [each.name.removeprefix(f"{name}/") for each in self._bucket.entries(f"{name}/")]
        return sorted(each for each in names if each != LISTING)

    def damage(self, name: str) -> str | None:
        there = {
            each.name.removeprefix(f"{name}/"): each for each in self._bucket.entries(f"{name}/")
        }
        listed = Listings(self._bucket).of(name)
        manifest = ("manifest.mpd",) if "dash" in formats_of(name.rpartition("/")[2]) else ()
        for each in ("master.m3u8", *manifest, "poster.jpg", LISTING):
            if each not in there:
                return f"{each} is missing"
        for each, (size, _) in (listed or {}).items():
            if each not in there:
                return f"{each} is missing"
            if there[each].size != size:
                return f"{each} is damaged"
        return ""

    # --- moving -----------------------------------------------------------------------------------

    def holds(self, name: str) -> bool:
        """Return whether there is an object of this name, or below it."""
        return self.exists(name) or next(self._bucket.entries(f"{name}/"), None) is not None

    def take(self, folder: Path, name: str) -> None:
        """Copy a folder that stays where it is. What the bucket has of it already is not sent again."""
        there = {each.name: each for each in self._bucket.entries(f"{name}/")}
        pairs = [(file, f"{name}/{_inside(folder, file)}") for file in _files(folder)]
        self._put([pair for pair in pairs if not _is_same(*pair, there.get(pair[1]))])
        if name.startswith(f"{VERSIONS}/"):
            self._bucket.write(f"{name}/{LISTING}", encoded(facts_of(folder)))

    def take_file(self, file: Path, name: str) -> None:
        """Copy a file that stays where it is."""
        self._put([(file, name)])

    def give(self, name: str, copy: Path) -> str:
        """Copy a folder or file of the bucket. Return which file of a version is missing or damaged."""
        names = [each.name for each in self._bucket.entries(f"{name}/")]
        names = [each for each in names if not each.endswith(f"/{LISTING}")]
        if not names:
            self._get([(name, copy)])
            return ""
        self._get([(each, copy / each.removeprefix(f"{name}/")) for each in names])
        if not name.startswith(f"{VERSIONS}/"):
            return ""
        listed = Listings(self._bucket).of(name)
        found = facts_of(copy)
        for each in found.keys() | (listed or found).keys():
            if listed is not None and found.get(each) != listed.get(each):
                return f"{each} is missing or damaged"
        return ""

    # --- work in flight ---------------------------------------------------------------------------

    def share(self, folder: Path) -> None:
        name = _inside(self._root, folder)
        self._put([(file, f"{name}/{_inside(folder, file)}") for file in _files(folder)])

    def bring(self, folder: Path) -> None:
        name = _inside(self._root, folder)
        shared = [each.name for each in self._bucket.entries(f"{name}/")]
        if shared:
            media_dir.make_folder(folder)
        self._get([(each, folder / each.removeprefix(f"{name}/")) for each in shared])

    def unshare(self, folder: Path) -> None:
        self._bucket.remove(f"{_inside(self._root, folder)}/")

    # --- cleaning up ------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        self._cache.forget(name)
        self._copies.remove(name)
        if name.startswith("posters/") and name.endswith(".jpg"):
            self._bucket.delete(name)
        else:
            self._bucket.remove(f"{name}/")

    def below(self, name: str) -> Iterator[str]:
        for folder in self._bucket.folders(name):
            yield from self._bucket.folders(folder)

    def changed_at(self, name: str) -> float | None:
        found = [each.changed_at for each in self._bucket.entries(f"{name}/")]
        with suppress(FileNotFoundError):
            found.append(self._bucket.find(name).changed_at)
        return max(found, default=None)

    def shared_work(self) -> Iterator[str]:
        yield from self._bucket.folders(WORK)

    def copies(self) -> Iterator[str]:
        yield from self._copies.names()

    def begin_sweep(self, older_than: float, under_way: Collection[str]) -> bool:
        with suppress(FileNotFoundError):
            if self._bucket.find(SWEPT).changed_at > time.time() - SWEEP_SECONDS:
                return False
        self._bucket.write(SWEPT, b"The last search for files that nobody needs began now.\n")
        with suppress(FileNotFoundError):  # rclone says so where there is none
            self._bucket.abort_uploads(older_than, under_way)
        return True

    def direct(self) -> Direct:
        return Direct(self._bucket)

    # --- how --------------------------------------------------------------------------------------

    def _put(self, pairs: list[tuple[Path, str]]) -> None:
        """Send files, several at once, and compare what the bucket has then."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3") as threads:
            sent = list(threads.map(lambda pair: self._bucket.put(*pair), pairs))
        if len(sent) > AT_ONCE:  # one listing tells of a thousand files
            place = os.path.commonpath([each.name for each in sent])
            there = {each.name: each for each in self._bucket.entries(f"{place}/")}
            for each in sent:
                _check(each, there)
        else:
            for each in sent:
                each.check(self._bucket.find(each.name))

    def _get(self, pairs: list[tuple[str, Path]]) -> None:
        """Fetch objects into files, several at once. A file is there only when it is whole."""

        def get(pair: tuple[str, Path]) -> None:
            name, path = pair
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            self._bucket.download(name, part)
            part.rename(path)

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3") as threads:
            list(threads.map(get, pairs))

    @contextmanager
    def _folder(self, name: str) -> Iterator[Path]:
        """Make a folder with a version's name. After a kill, `garbage` removes it with the uploads."""
        outer = self._root / "uploads" / f"version-{uuid.uuid4().hex}"
        folder = outer / name.rpartition("/")[2]
        media_dir.make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(outer, ignore_errors=True)


def from_settings() -> S3Store:
    """Return the store that the settings describe."""
    bucket = Bucket(
        bucket=settings.S3_BUCKET,
        prefix=settings.S3_PREFIX,
        endpoint=settings.S3_ENDPOINT,
        region=settings.S3_REGION,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
        path_style=settings.S3_PATH_STYLE,
        public_endpoint=settings.S3_PUBLIC_ENDPOINT,
    )
    return S3Store(bucket, Path(settings.MEDIA_ROOT), settings.MEDIA_CACHE_BYTES)


def _check(sent: Sent, there: dict[str, Stored]) -> None:
    stored = there.get(sent.name)
    if stored is None:
        raise FileNotFoundError(2, f"{sent.name} has not arrived")
    sent.check(stored)


def _is_same(file: Path, name: str, stored: Stored | None) -> bool:
    """Return whether the bucket has this file, as far as size and ETag tell."""
    if stored is None:
        return False
    try:
        sent_as(file, name).check(stored, strictly=True)
    except OSError:
        return False
    return True


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder. Hidden ones are unfinished, or locks."""
    return [path for path in sorted(folder.rglob("[!.]*")) if path.is_file()]


def _inside(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _state(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _contents(folder: Path) -> dict[str, bytes]:
    return {_inside(folder, file): file.read_bytes() for file in _files(folder)}


def _grows(name: str) -> bool:
    """Return whether this is the name of a growing version (videos.versions.GROWING)."""
    return name.rpartition("/")[2].startswith("g")
