"""Removing files that no row in the database names any more.

Killed processes leave unfinished files, and newer files replace older ones. Safe to run in any number
of workers at the same time: a folder that another worker has just removed is no error.
"""

import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from videos import storage
from videos.models import ProcessingJob, Upload, Video
from videos.storage.base import POSTERS, SOURCES, VERSIONS, WORK

# A file is written before the row that names it. A younger file may still get its row.
ORPHAN_SECONDS = 24 * 3600


def collect_garbage() -> int:
    """Remove all files and folders that are not needed, and return their number."""
    leftovers = [*_work(), *_uploads()]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for name in storage.store().copies():
        if not ProcessingJob.objects.open().filter(source_path=name).exists():
            storage.store().let_go(name)
    # Last, because a store that is away raises OSError.
    unnamed = []
    if storage.store().begin_sweep(time.time() - ORPHAN_SECONDS, _sent_by_clients("multipart_id")):
        unnamed = [*_versions(), *_sources(), *_posters(), *_shared_work()]
    for name in unnamed:
        storage.store().remove(name)
    return len(unnamed) + len(leftovers)


def _sent_by_clients(field: str) -> set[str]:
    """Return this field of all direct uploads that are under way: they have clocks of their own."""
    under_way = Upload.objects.filter(kind=Upload.Kind.DIRECT, state=Upload.State.OPEN)
    return {*under_way.values_list(field, flat=True)}


def _versions() -> Iterator[str]:
    """Yield the folders of versions that are not current and that no playback grant can open.

    A grant for a replaced version is valid for at most PLAYBACK_GRANT_HOURS after the newer version
    was published. The age of the folder says nothing about that time.
    """
    grants = timedelta(hours=settings.PLAYBACK_GRANT_HOURS)
    for name, video_id, version in _below(VERSIONS):
        if Video.objects.filter(pk=video_id, current_version=version).exists():
            continue
        switched_at = ProcessingJob.objects.filter(
            video=video_id, state=ProcessingJob.State.DONE
        ).aggregate(at=Max("finished_at"))["at"]
        remade = Video.objects.filter(pk=video_id).values_list("switched_at", flat=True).first()
        moments = [at for at in (switched_at, remade) if at is not None]
        if moments and max(moments) > timezone.now() - grants:
            continue
        if _untouched(storage.store().changed_at(name), grants.total_seconds()):
            yield name


def _sources() -> Iterator[str]:
    """Yield the folders of sources that belong to no video and to no open job."""
    arriving = _sent_by_clients("object_name")
    for name, video_id, _ in _below(SOURCES):
        path = f"{name}/source"
        if path in arriving:
            continue
        if Video.objects.filter(pk=video_id, source_path=path).exists():
            continue
        if ProcessingJob.objects.open().filter(source_path=path).exists():
            continue
        if _untouched(storage.store().changed_at(name), ORPHAN_SECONDS):
            yield name


def _posters() -> Iterator[str]:
    """Yield the posters that no video shows any more."""
    for name, video_id, file in _below(POSTERS):
        if Video.objects.filter(pk=video_id, poster_tag=file.removesuffix(".jpg")).exists():
            continue
        if _untouched(storage.store().changed_at(name), ORPHAN_SECONDS):
            yield name


def _shared_work() -> Iterator[str]:
    """Yield the folders in which jobs that have ended shared files with other machines."""
    for name in storage.store().shared_work():
        job_id = _uuid(name.rpartition("/")[2])
        if job_id and not ProcessingJob.objects.open().filter(pk=job_id).exists():
            yield name


def _work() -> Iterator[Path]:
    """Yield the work folders of jobs that have ended."""
    for folder in (settings.MEDIA_ROOT / WORK).glob("*"):
        job_id = _uuid(folder.name)
        if job_id is None or not _untouched(_modified(folder), ORPHAN_SECONDS):
            continue
        if not ProcessingJob.objects.open().filter(pk=job_id).exists():
            yield folder


def _uploads() -> Iterator[Path]:
    """Yield the files of uploads that were never completed."""
    for file in (settings.MEDIA_ROOT / "uploads").glob("*"):
        if _untouched(_modified(file), ORPHAN_SECONDS):
            yield file


def _below(kind: str) -> Iterator[tuple[str, uuid.UUID, str]]:
    """Yield each file or folder of a kind with the id of its video and the last part of its name.

    What this app has not made is left out.
    """
    for name in storage.store().below(kind):
        _, owner, last = name.split("/")
        if (video_id := _uuid(owner)) is not None:
            yield name, video_id, last


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another worker has removed it
        return None


def _untouched(changed_at: float | None, seconds: float) -> bool:
    """Return whether something was last changed more than ``seconds`` ago; False if it is gone."""
    return changed_at is not None and changed_at < time.time() - seconds


def _uuid(name: str) -> uuid.UUID | None:
    """Return the id in a folder's name, or None for a folder that this app has not made."""
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
