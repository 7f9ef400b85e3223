"""From a file to a version that plays: the work of one attempt, and the switch that ends it."""

import logging
import os
import shutil
import time
import uuid

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce, Now

import audit.services as audit
from audit.actions import AuditAction
from videos import jobs
from videos.errors import LeaseLost
from videos.models import ProcessingJob, Video
from videos.processing import pipeline
from videos.processing.errors import Rejected, ToolFailed
from videos.signals import video_published

logger = logging.getLogger(__name__)

REPORT_EVERY_SECONDS = 1.0


def process(job: ProcessingJob) -> None:
    """Do one claimed attempt to its end: READY, FAILED, or due again. Raises LeaseLost only."""
    jobs.begin(job)
    shutil.rmtree(job.work_folder.parent, ignore_errors=True)  # what killed attempts left
    job.work_folder.mkdir(parents=True)
    try:
        source = settings.MEDIA_ROOT / job.source_path
        output = pipeline.transcode(source, job.work_folder, _reporter(job))
        publish(job, output)
    except Rejected as error:
        logger.info("Film %s refused: %s", job.video_id, error.code)
        jobs.give_up(job, error.code, error.detail)
    except ToolFailed as error:
        logger.warning("Processing of %s failed: %s", job.video_id, error.detail)
        jobs.strike(job, "processing_failed", error.detail)
    except LeaseLost:
        raise
    except Exception as error:
        logger.exception("Processing of %s broke", job.video_id)
        jobs.strike(job, "processing_failed", f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(job.work_folder, ignore_errors=True)


def publish(job: ProcessingJob, output: pipeline.Output) -> None:
    """Put a finished version live: one rename, then one transaction that checks the fence.

    An attempt that has lost its job leaves nothing behind. A kill between the two leaves a folder
    that nothing names, which the hourly clean-up removes.
    """
    version = uuid.uuid4().hex[:12]
    folder = settings.MEDIA_ROOT / "videos" / str(job.video_id) / version
    _make_durable(output.directory)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.rename(output.directory, folder)
    try:
        with transaction.atomic():
            jobs.finish(job)
            Video.objects.filter(pk=job.video_id, job=job).update(
                status=Video.Status.READY,
                current_version=version,
                published_at=Coalesce("published_at", Now()),
                duration_seconds=output.duration_seconds,
                width=output.width,
                height=output.height,
                renditions=output.renditions,
                source_container=output.container[:80],
                source_video_codec=output.video_codec[:40],
                source_audio_codec=output.audio_codec[:40],
            )
            video = Video.objects.get(pk=job.video_id)
            audit.record(actor=None, action=AuditAction.VIDEO_READY, target=video, version=version)
            video_published.send(sender=Video, video=video)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def collect_garbage() -> int:
    """Remove versions and work that nothing names any more; returns how many folders went.

    A replaced version stays until the last playback grant for it has expired.
    """
    removed = 0
    grants_end = time.time() - settings.PLAYBACK_GRANT_HOURS * 3600
    for folder in (settings.MEDIA_ROOT / "videos").glob("*/*"):
        live = Video.objects.filter(pk=folder.parent.name, current_version=folder.name).exists()
        if not live and folder.stat().st_mtime < grants_end:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    open_jobs = {
        str(pk)
        for pk in ProcessingJob.objects.filter(state__in=["queued", "running"]).values_list(
            "pk", flat=True
        )
    }
    yesterday = time.time() - 24 * 3600
    for folder in (settings.MEDIA_ROOT / "work").glob("*"):
        if folder.name not in open_jobs and folder.stat().st_mtime < yesterday:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    for file in (settings.MEDIA_ROOT / "uploads").glob("*"):
        if file.stat().st_mtime < yesterday:
            file.unlink(missing_ok=True)
            removed += 1
    return removed


def _reporter(job: ProcessingJob):
    last = {"at": 0.0, "step": None}

    def report(step: str, percent: int) -> None:
        now = time.monotonic()
        if step != last["step"] or now - last["at"] >= REPORT_EVERY_SECONDS:
            last.update(at=now, step=step)
            jobs.report(job, step, percent)

    return report


def _make_durable(folder) -> None:
    """fsync every file: a READY film is still whole after a power cut."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
