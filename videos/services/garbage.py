"""Removing the files that nothing names any more.

What a killed process left, what a newer file replaced. Safe in any number of workers at once: a
folder that another one has removed in the meantime is no error.
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

ORPHAN_SECONDS = 24 * 3600  # longer than anything takes from the file to the row that names it


def collect_garbage() -> int:
    """Remove what is left over; returns how many files and folders went."""
    leftovers = [*_versions(), *_sources(), *_work(), *_uploads()]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(leftovers)


def _versions() -> Iterator[Path]:
    """Versions that are not live, once the last playback grant for them has expired.

    A version was replaced when the video's newest one went live, however old its folder is.
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
    """Uploaded files that no video and no open job reads."""
    for folder in _below("sources"):
        video_id = _uuid(folder.parent.name)
        if video_id is None or not _untouched(folder, ORPHAN_SECONDS):
            continue
        path = (folder / "source").relative_to(settings.MEDIA_ROOT).as_posix()
        named = Video.objects.filter(pk=video_id, source_path=path).exists()
        if not named and not ProcessingJob.objects.open().filter(source_path=path).exists():
            yield folder


def _work() -> Iterator[Path]:
    """What attempts of jobs that have ended left."""
    for folder in (settings.MEDIA_ROOT / "work").glob("*"):
        job_id = _uuid(folder.name)
        if job_id is None or not _untouched(folder, ORPHAN_SECONDS):
            continue
        if not ProcessingJob.objects.open().filter(pk=job_id).exists():
            yield folder


def _uploads() -> Iterator[Path]:
    """Uploads that nobody finished."""
    for file in (settings.MEDIA_ROOT / "uploads").glob("*"):
        if _untouched(file, ORPHAN_SECONDS):
            yield file


def _below(name: str) -> Iterator[Path]:
    return (settings.MEDIA_ROOT / name).glob("*/*")


def _untouched(path: Path, seconds: float) -> bool:
    try:
        return path.stat().st_mtime < time.time() - seconds
    except FileNotFoundError:  # another worker was faster
        return False


def _uuid(name: str) -> uuid.UUID | None:
    """The id that a folder of ours is named by; None for what is not ours."""
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
