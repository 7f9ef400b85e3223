"""From a file to a version that plays: the work of one attempt, and the switch that ends it."""

import errno
import logging
import os
import shutil
import time
import uuid
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models.functions import Coalesce, Now

import audit.services as audit
from audit.actions import AuditAction
from videos import durable, jobs
from videos.errors import LeaseLost
from videos.models import ProcessingJob, Video
from videos.processing import pipeline
from videos.processing.errors import Rejected, ToolFailed, ToolMissing
from videos.signals import video_published

logger = logging.getLogger(__name__)

REPORT_EVERY_SECONDS = 1.0
OPERATOR_WAIT = timedelta(minutes=1)
# What the creator reads; what the tool said is for the log, and may name our files.
FAILED = ("processing_failed", "The video could not be processed, for a reason of our own.")
NO_SPACE = ("no_space", "There was not enough free space to process the video.")
UNKNOWN_JOB = ("unknown_job", "This service does not know this kind of work.")
NO_FILE = ("file_missing", "The video's file is gone. Upload it again.")


def process(job: ProcessingJob) -> None:
    """Do one claimed attempt to its end: READY, FAILED, or due again.

    Raises LeaseLost for an attempt that is too late, and what the database raises when it is away.
    """
    jobs.begin(job)
    try:
        if job.kind != ProcessingJob.Kind.TRANSCODE:
            jobs.give_up(job, *UNKNOWN_JOB)
            return
        _remove_earlier_attempts(job)
        job.work_folder.mkdir(parents=True)
        source = settings.MEDIA_ROOT / job.source_path
        if source.is_file():
            publish(job, pipeline.transcode(source, job.work_folder, _reporter(job)))
        else:
            jobs.give_up(job, *NO_FILE)
    except Rejected as error:
        logger.info("Video %s refused: %s", job.video_id, error.code)
        jobs.give_up(job, error.code, error.detail)
    except ToolMissing as error:
        logger.error("Video %s has to wait: %s", job.video_id, error.detail)
        jobs.give_back(job, wait=OPERATOR_WAIT)
    except ToolFailed as error:
        logger.warning("Processing of %s failed: %s", job.video_id, error.detail)
        jobs.strike(job, *(NO_SPACE if os.strerror(errno.ENOSPC) in error.detail else FAILED))
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as error:
        logger.exception("Processing of %s broke", job.video_id)
        jobs.strike(job, *(NO_SPACE if _is_disk_full(error) else FAILED))
    finally:
        shutil.rmtree(job.work_folder, ignore_errors=True)
        with suppress(OSError):  # another attempt is in it
            job.work_folder.parent.rmdir()


def publish(job: ProcessingJob, output: pipeline.Output) -> None:
    """Put a finished version live: one rename, then one transaction that checks the fence.

    An attempt that has lost its job leaves nothing behind. A kill between the two leaves a folder
    that nothing names, which the hourly clean-up removes. So does every other error: one that comes
    with the commit cannot tell whether the version is live.
    """
    version = uuid.uuid4().hex[:12]
    folder = settings.MEDIA_ROOT / "videos" / str(job.video_id) / version
    durable.sync_tree(output.directory)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.rename(output.directory, folder)
    durable.sync_names(folder.parent, up_to=settings.MEDIA_ROOT)
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
    except LeaseLost:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _reporter(job: ProcessingJob):
    last = {"at": 0.0, "step": None}

    def report(step: str, percent: int) -> None:
        now = time.monotonic()
        if step != last["step"] or now - last["at"] >= REPORT_EVERY_SECONDS:
            last.update(at=now, step=step)
            try:
                jobs.report(job, step, percent)
            except (OperationalError, InterfaceError):
                # A number for people is not worth an encode; the worker watches over the lease.
                logger.warning("The progress of %s could not be written.", job.video_id)
                connections.close_all()

    return report


def _remove_earlier_attempts(job: ProcessingJob) -> None:
    """What killed attempts left; never a later attempt's work, should this one have been asleep."""
    for folder in job.work_folder.parent.glob("*"):
        if folder.name.isdecimal() and int(folder.name) <= job.fence:
            shutil.rmtree(folder, ignore_errors=True)


def _is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
