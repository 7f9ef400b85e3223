"""A video's file: taking it in, and queueing the work that it needs."""

import shutil

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config.errors import NotVisible
from config.ids import uuid7
from videos.errors import EmptyUpload, NoSource, NotFailed
from videos.models import ProcessingJob, Video
from videos.services import catalogue
from videos.uploads.handler import ReceivedFile


@transaction.atomic
def create_with_source(*, creator, received: ReceivedFile, **fields) -> Video:
    """A video together with its file: both, or neither."""
    video = catalogue.create_video(creator=creator, **fields)
    return attach_source(video=video, received=received, actor=creator)


def attach_source(*, video: Video, received: ReceivedFile, actor) -> Video:
    """Give a video its file and queue processing, exactly once.

    The file is durable before the row says that it is there. A file that replaces another cancels
    the work on it; the published version plays until the new one is ready. A file that no row came
    to name (an error that cannot tell whether it was committed) is the clean-up's.
    """
    if received.size == 0:
        raise EmptyUpload()
    path = f"sources/{video.pk}/{uuid7().hex}/source"
    target = settings.MEDIA_ROOT / path
    received.keep(target)
    try:
        with transaction.atomic():
            changed = (
                Video.objects.alive()
                .filter(pk=video.pk)
                .update(
                    status=Video.Status.UPLOADED,
                    source_path=path,
                    source_filename=received.name[:255],
                    source_size=received.size,
                    source_checksum=received.checksum,
                    source_container="",
                    source_video_codec="",
                    source_audio_codec="",
                )
            )
            if not changed:
                raise NotVisible()
            audit.record(
                actor=actor,
                action=AuditAction.VIDEO_UPLOADED,
                target=video,
                size=received.size,
                checksum=received.checksum,
            )
            _queue(video, path)
    except NotVisible:
        shutil.rmtree(target.parent, ignore_errors=True)
        raise
    return video


@transaction.atomic
def retry_processing(*, video: Video, actor) -> Video:
    """Queue a FAILED video again. Raises NotFailed for any other, NoSource without its file."""
    if not video.source_path or not video.source.is_file():
        raise NoSource()
    changed = (
        Video.objects.alive()
        .filter(pk=video.pk, status=Video.Status.FAILED)
        .update(status=Video.Status.UPLOADED)
    )
    if not changed:
        raise NotFailed()
    video.refresh_from_db(fields=["source_path"])  # locked now: what it was before may be replaced
    audit.record(actor=actor, action=AuditAction.VIDEO_RETRIED, target=video)
    _queue(video, video.source_path)
    return video


def _queue(video: Video, source_path: str) -> ProcessingJob:
    # The UPDATE of the video above holds its row: two uploads of one video queue up there.
    ProcessingJob.objects.open().filter(video=video).update(
        state=ProcessingJob.State.CANCELED, lease_until=None, finished_at=timezone.now()
    )
    earlier = ProcessingJob.objects.filter(video=video, source_path=source_path).count()
    job = ProcessingJob.objects.create(
        key=f"transcode:{source_path}:{earlier}",
        video=video,
        source_path=source_path,
        max_attempts=settings.JOB_MAX_ATTEMPTS,
    )
    Video.objects.filter(pk=video.pk).update(job=job)
    return job
