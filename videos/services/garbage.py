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

from videos.models import ProcessingJob, Video

# A file is written before the row that names it. A younger file may still get its row.
ORPHAN_SECONDS = 24 * 3600


def collect_garbage() -> int:
    """Remove all files and folders that are not needed, and return their number."""
    leftovers = [*_versions(), *_sources(), *_work(), *_uploads(), *_posters()]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(leftovers)


def _versions() -> Iterator[Path]:
    """Yield the folders of versions that are not current and that no playback grant can open.

    A grant for a replaced version is valid for at most PLAYBACK_GRANT_HOURS after the newer version
    was published. The age of the folder says nothing about that time.
    """
    grants = timedelta(hours=settings.PLAYBACK_GRANT_HOURS)
    for folder in _below("videos"):
        video_id = _uuid(folder.parent.name)
        if video_id is None or not _untouched(folder, grants.total_seconds()):
            continue
        switched_at = ProcessingJob.objects.filter(
            video=video_id, state=ProcessingJob.State.DONE
        ).aggregate(at=Max("finished_at"))["at"]
        if switched_at is not None and switched_at > timezone.now() - grants:
            continue
        if not Video.objects.filter(pk=video_id, current_version=folder.name).exists():
            yield folder


def _sources() -> Iterator[Path]:
    """Yield the folders of sources that belong to no video and to no open job."""
    for folder in _below("sources"):
        video_id = _uuid(folder.parent.name)
        if video_id is None or not _untouched(folder, ORPHAN_SECONDS):
            continue
        path = (folder / "source").relative_to(settings.MEDIA_ROOT).as_posix()
        named = Video.objects.filter(pk=video_id, source_path=path).exists()
        if not named and not ProcessingJob.objects.open().filter(source_path=path).exists():
            yield folder


def _work() -> Iterator[Path]:
    """Yield the work folders of jobs that have ended."""
    for folder in (settings.MEDIA_ROOT / "work").glob("*"):
        job_id = _uuid(folder.name)
        if job_id is None or not _untouched(folder, ORPHAN_SECONDS):
            continue
        if not ProcessingJob.objects.open().filter(pk=job_id).exists():
            yield folder


def _uploads() -> Iterator[Path]:
    """Yield the files of uploads that were never completed."""
    for file in (settings.MEDIA_ROOT / "uploads").glob("*"):
        if _untouched(file, ORPHAN_SECONDS):
            yield file


def _posters() -> Iterator[Path]:
    """Yield the posters that no video shows any more."""
    for file in _below("posters"):
        video_id = _uuid(file.parent.name)
        if video_id is None or not _untouched(file, ORPHAN_SECONDS):
            continue
        if not Video.objects.filter(pk=video_id, poster_tag=file.stem).exists():
            yield file


def _below(name: str) -> Iterator[Path]:
    return (settings.MEDIA_ROOT / name).glob("*/*")


def _untouched(path: Path, seconds: float) -> bool:
    """Return whether ``path`` was last modified more than ``seconds`` ago; False if it is gone."""
    try:
        return path.stat().st_mtime < time.time() - seconds
    except FileNotFoundError:  # another worker has removed it
        return False


def _uuid(name: str) -> uuid.UUID | None:
    """Return the id in a folder's name, or None for a folder that this app has not made."""
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
