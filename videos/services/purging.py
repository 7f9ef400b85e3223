"""Removing the files of videos that were deleted long ago. Money, statistics and audit entries stay."""

from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from videos import storage
from videos.models import Video
from videos.presentation.models import Caption, Presentation
from videos.querysets import VideoQuerySet
from videos.storage.base import POSTERS, SOURCES, VERSIONS


def due() -> VideoQuerySet:
    """Return the videos that were deleted more than DELETED_RETENTION_DAYS ago and still have files."""
    videos = Video.objects.deleted().filter(purged_at=None)
    if not settings.DELETED_RETENTION_DAYS:
        return videos.none()
    return videos.filter(
        deleted_at__lt=timezone.now() - timedelta(days=settings.DELETED_RETENTION_DAYS)
    )


def purge_deleted() -> int:
    """Remove the files of all videos that are due, and return their number. Safe to repeat."""
    return sum(purge(video) for video in due().order_by("deleted_at"))


def purge(video: Video, *, at_once: bool = False) -> bool:
    """Remove source, versions, captions and posters of a deleted video for good.

    ``at_once`` does not wait for DELETED_RETENTION_DAYS: for a creator who is erased. Returns
    False if another process did. The row first says that there are no files; `garbage` removes
    those that a kill then leaves.
    """
    with transaction.atomic():
        removable = Video.objects.deleted().filter(purged_at=None) if at_once else due()
        purged = removable.filter(pk=video.pk).update(
            purged_at=timezone.now(),
            status=Video.Status.CREATED,
            source_path="",
            current_version="",
            completeness=Video.Completeness.FULL,
            renditions=[],
            chapters=[],
            poster_tag="",
            has_storyboard=False,
        )
        if purged:
            Caption.objects.filter(video=video).delete()
            Presentation.objects.filter(video=video).delete()
            audit.record(actor=None, action=AuditAction.VIDEO_PURGED, target=video)
    if not purged and not at_once:  # an erasure goes on where it was killed
        return False
    with suppress(OSError):  # `garbage` removes the others
        for folder in (VERSIONS, SOURCES, POSTERS):
            storage.store().remove(f"{folder}/{video.pk}")
    return bool(purged)
