"""Moving the files of an installation to the store that STORAGE names, while it runs.

Each version, source and poster moves by itself: it is copied, compared, and only then removed from where
it was. A kill leaves it where it was, or in both stores; the next run goes on.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from videos import storage
from videos.models import ProcessingJob, Video
from videos.presentation import refreshing
from videos.presentation.models import Presentation
from videos.storage.base import SOURCES, VERSIONS
from videos.storage.both import BothStore
from videos.storage.objects import has_checksum


class NotMoving(Exception):
    """There is only one store, so nothing can move."""


class Busy(Exception):
    """The video is being processed, and its files are in use."""


class Faulty(Exception):
    """The files are missing or damaged where they are, so they cannot be moved."""


@dataclass(frozen=True)
class Item:
    """A version, a source or a poster that is not in the store that STORAGE names."""

    name: str
    video: Video


def stores() -> BothStore:
    """Return both stores. Raises NotMoving."""
    found = storage.store()
    if not isinstance(found, BothStore):
        raise NotMoving
    return found


def waiting() -> Iterator[Item]:
    """Yield what must still move, also of deleted videos, which may be restored."""
    both, to_bucket = stores(), settings.STORAGE == "s3"
    for video in Video.objects.order_by("created_at").iterator():
        names = [video.source_path.removesuffix("/source")]
        if video.current_version:
            names.append(storage.version_name(video))
        if video.poster_tag:
            names.append(storage.poster_name(video))
        for name in filter(None, names):
            if both.is_local(name) if to_bucket else both.bucket.holds(name):
                yield Item(name, video)


def move(item: Item) -> None:
    """Move one version, source or poster. Safe to repeat.

    Raises Busy while the video is processed, Faulty, and OSError.
    """
    if ProcessingJob.objects.open().filter(video=item.video).exists():
        raise Busy
    if settings.STORAGE == "s3":
        _to_bucket(item)
    else:
        _to_media_dir(item)


def _to_bucket(item: Item) -> None:
    both, path = stores(), settings.MEDIA_ROOT / item.name
    _check(item, path)
    if path.is_dir():
        both.bucket.take(path, item.name)
    else:
        both.bucket.take_file(path, item.name)
    with transaction.atomic():
        _claim(item)
        # At once: until here it was read from MEDIA_DIR, from here on from the bucket.
        trash = settings.MEDIA_ROOT / "uploads" / f"moved-{uuid.uuid4().hex}"
        storage.make_folder(trash.parent)
        os.rename(path, trash)
        _mark(item)
    if trash.is_dir():
        shutil.rmtree(trash, ignore_errors=True)
    else:
        trash.unlink()


def _to_media_dir(item: Item) -> None:
    both, path = stores(), settings.MEDIA_ROOT / item.name
    if not both.is_local(item.name):
        outer = settings.MEDIA_ROOT / "uploads" / f"moving-{uuid.uuid4().hex}"
        copy = outer / path.name
        storage.make_folder(outer)
        try:
            if fault := both.bucket.give(item.name, copy):
                raise Faulty(fault)
            _check(item, copy)
            with transaction.atomic():
                _claim(item)
                if copy.is_dir():
                    both.local.publish(copy, item.name, lasting=True)
                else:
                    both.local.keep(copy, item.name)
                _mark(item)
        finally:
            shutil.rmtree(outer, ignore_errors=True)
    both.bucket.remove(item.name)


def _check(item: Item, path: Path) -> None:
    """Raise Faulty if a source is not the one that was uploaded."""
    if not item.name.startswith(f"{SOURCES}/"):
        return
    source, size, checksum = path / "source", item.video.source_size, item.video.source_checksum
    if not source.is_file():
        raise Faulty("the source is missing")
    if size is not None and source.stat().st_size != size:
        raise Faulty(f"the source has {source.stat().st_size} of {size} bytes")
    if not has_checksum(source, checksum):
        raise Faulty("the source has another checksum")


def _mark(item: Item) -> None:
    """Let the texts of a version be written again: they may have changed since they were copied."""
    is_version = item.name.startswith(f"{VERSIONS}/")
    if is_version and Presentation.objects.filter(video=item.video).exists():
        refreshing.mark(item.video)


def _claim(item: Item) -> None:
    """Lock the video's row, so that no job begins. Raises Busy if one has."""
    Video.objects.select_for_update().get(pk=item.video.pk)
    if ProcessingJob.objects.open().filter(video=item.video).exists():
        raise Busy
