"""The queue: the truth is the table ProcessingJob. Every change names the attempt it belongs to.

Nothing here trusts the process that calls it to be the only one: a lease ends by the database's
clock, a fence tells attempts apart, and each change is one conditional UPDATE.

Locks are taken video first, job second: an upload that replaces a video's file does so too.
"""

import os
import socket
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

import audit.services as audit
from audit.actions import AuditAction
from videos.errors import LeaseLost
from videos.models import ProcessingJob, Video

BACKOFF = timedelta(seconds=5)  # doubled after every strike


def lease() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def worker_name() -> str:
    """This process, as the queue knows it: host, process namespace, process id."""
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{namespace}/{os.getpid()}"[:120]


def claim_next(worker: str) -> ProcessingJob | None:
    """The oldest due job, claimed; None when nothing is due."""
    for job_id in (
        ProcessingJob.objects.due().order_by("created_at").values_list("pk", flat=True)[:5]
    ):
        if job := ProcessingJob.objects.claim(job_id, worker=worker, lease=lease()):
            if job.attempt > ProcessingJob.MAX_ATTEMPTS_LOST:
                with suppress(LeaseLost):
                    give_up(job, "worker_lost", "The worker was lost too often while processing.")
                continue
            return job
    return None


@transaction.atomic
def begin(job: ProcessingJob) -> None:
    """The video is PROCESSING from the first attempt on. Raises LeaseLost for one that woke too late."""
    if not ProcessingJob.objects.held(job).exists():
        raise LeaseLost()
    changed = Video.objects.filter(pk=job.video_id, job=job, status=Video.Status.UPLOADED).update(
        status=Video.Status.PROCESSING
    )
    if changed:
        audit.record(actor=None, action=AuditAction.VIDEO_PROCESSING, target=job.video)


def keep(job: ProcessingJob) -> bool:
    """Prolong the lease. False: the job is not this attempt's any more; stop working on it."""
    return bool(ProcessingJob.objects.held(job).update(lease_until=Now() + lease()))


def report(job: ProcessingJob, step: str, percent: int) -> None:
    """Write how far the attempt is. Raises LeaseLost when it owns the job no more."""
    if not ProcessingJob.objects.held(job).update(step=step, percent=min(100, max(0, percent))):
        raise LeaseLost()


def give_back(job: ProcessingJob, *, wait: timedelta | None = None) -> None:
    """Stop without finishing and without fault, as if it had not been claimed.

    The worker is told to stop (due again at once), or something is missing that is no video's fault.
    """
    ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.QUEUED,
        attempt=F("attempt") - 1,
        not_before=Now() + wait if wait else Now(),
        lease_until=None,
        step="",
        percent=0,
    )


@transaction.atomic
def strike(job: ProcessingJob, code: str, detail: str) -> None:
    """The attempt failed by its own fault: due again after a while, or given up."""
    if job.strikes + 1 >= job.max_attempts:
        give_up(job, code, detail)
        return
    wait = BACKOFF * 2**job.strikes
    ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.QUEUED,
        strikes=F("strikes") + 1,
        not_before=Now() + wait,
        lease_until=None,
        step="",
        percent=0,
        error_code=code,
        error_detail=detail[:500],
    )


@transaction.atomic
def give_up(job: ProcessingJob, code: str, detail: str) -> None:
    """The video FAILED, with a reason that its creator can read. Raises LeaseLost."""
    _lock_video(job)
    changed = ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.FAILED,
        strikes=F("strikes") + 1,
        lease_until=None,
        finished_at=Now(),
        error_code=code,
        error_detail=detail[:500],
    )
    if not changed:
        raise LeaseLost()
    Video.objects.filter(pk=job.video_id, job=job).update(status=Video.Status.FAILED)
    audit.record(actor=None, action=AuditAction.VIDEO_FAILED, target=job.video, code=code)


def finish(job: ProcessingJob) -> None:
    """DONE, in the transaction that publishes. Raises LeaseLost for an attempt that is too late."""
    _lock_video(job)
    changed = ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.DONE, lease_until=None, finished_at=Now(), percent=100, step=""
    )
    if not changed:
        raise LeaseLost()


def _lock_video(job: ProcessingJob) -> None:
    Video.objects.select_for_update().filter(pk=job.video_id).values_list("pk").first()


def release_of_dead_workers() -> int:
    """Jobs of this host whose worker process is gone are due at once, without waiting for the lease.

    Only for workers in this process namespace: elsewhere a process id means nothing.
    """
    mine = worker_name().rsplit("/", 1)[0] + "/"
    if mine.endswith("//"):
        return 0
    released = 0
    running = ProcessingJob.objects.filter(
        state=ProcessingJob.State.RUNNING, worker__startswith=mine
    )
    for job in running:
        if not _is_alive(int(job.worker.rsplit("/", 1)[1])):
            released += ProcessingJob.objects.held(job).update(lease_until=Now() - lease())
    return released


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
