"""The queue of processing jobs: claiming a job, keeping its lease, and ending an attempt.

The table ProcessingJob is the queue. Any number of workers may call these functions at the same time:
a lease ends by the database's clock, a fence distinguishes attempts, and each change is one UPDATE
that applies only while the attempt owns its job.

Rows are locked in the order video, job. An upload that replaces a video's file uses the same order.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Sum
from django.db.models.functions import Now

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.ids import uuid7
from videos import engines
from videos.errors import LeaseLost, QuotaExceeded
from videos.models import Chunk, ProcessingJob, Video
from videos.signals import video_failed

# Error code and text for the creator.
WORKER_LOST = (
    "worker_lost",
    "Processing was interrupted too often, because its worker was killed each time. Retry the video.",
)
BACKOFF = timedelta(seconds=5)  # the wait after the first strike; doubled with each further one


def lease() -> timedelta:
    """Return the time for which a claimed job belongs to its worker (JOB_LEASE_SECONDS)."""
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def queue(video: Video, source_path: str) -> ProcessingJob:
    """Replace the video's open job by a new one. Call it with the video's row locked.

    Two uploads of one video therefore run one after another. The job begins with an early version unless
    the video can be played: viewers keep what they have until all renditions of the new one are ready.
    """
    cancel_open(video)
    playable = Video.objects.exclude(current_version="").filter(pk=video.pk).exists()
    stage = ProcessingJob.Stage.REST if playable else ProcessingJob.Stage.FIRST
    return _queue(video, source_path, stage)


def queue_again(video: Video) -> ProcessingJob:
    """Queue the making of a new version from the source that the video has, behind all other work.

    Call it with the row locked of a video that has no open job.
    """
    return _queue(video, video.source_path, ProcessingJob.Stage.AGAIN)


def queue_captions(video: Video) -> ProcessingJob:
    """Queue automatic captions of the video, behind all other work.

    Call it with the row locked of a video that has no open job. The video's own job stays the one that
    made its version.
    """
    kind = ProcessingJob.Kind.CAPTIONS
    earlier = ProcessingJob.objects.filter(
        video=video, source_path=video.source_path, kind=kind
    ).count()
    job = ProcessingJob.objects.create(
        key=f"{kind}:{video.source_path}:{earlier}",
        kind=kind,
        video=video,
        creator_id=video.creator_id,
        source_path=video.source_path,
        stage=ProcessingJob.Stage.CAPTIONS,
        max_attempts=settings.JOB_MAX_ATTEMPTS,
        not_before=Now(),
        dispatched_at=Now(),
    )
    engines.current().wake(job.pk, job.stage)
    return job


def queue_import(video: Video, url: str) -> ProcessingJob:
    """Queue the fetching of a new source from an address.

    Call it with the row locked of a video that has no open job. The video's status does not change.
    It may take hours, so it has a stage beside which workers make first renditions.
    """
    job = ProcessingJob.objects.create(
        key=f"{ProcessingJob.Kind.IMPORT}:{uuid7()}",
        kind=ProcessingJob.Kind.IMPORT,
        video=video,
        creator_id=video.creator_id,
        url=url,
        stage=ProcessingJob.Stage.REST,
        max_attempts=settings.JOB_MAX_ATTEMPTS,
        not_before=Now(),
        dispatched_at=Now(),
    )
    Video.objects.filter(pk=video.pk).update(job=job)
    engines.current().wake(job.pk, job.stage)
    return job


def cancel_captions(video: Video) -> None:
    """Cancel the job of automatic captions that is open, if there is one. Call it as ``cancel_open``."""
    _cancel(video, [ProcessingJob.Kind.CAPTIONS])


def _queue(video: Video, source_path: str, stage: ProcessingJob.Stage) -> ProcessingJob:
    earlier = ProcessingJob.objects.filter(
        video=video, source_path=source_path, kind=ProcessingJob.Kind.TRANSCODE
    ).count()
    job = ProcessingJob.objects.create(
        key=f"transcode:{source_path}:{earlier}",
        video=video,
        creator_id=video.creator_id,
        source_path=source_path,
        stage=stage,
        max_attempts=settings.JOB_MAX_ATTEMPTS,
        # By the database's clock: that of this host may be wrong, and the job would wait for it.
        not_before=Now(),
        dispatched_at=Now(),
    )
    Video.objects.filter(pk=video.pk).update(job=job)
    engines.current().wake(job.pk, job.stage)
    return job


def refuse_beyond_quota(creator: User, *, size: int, replaced: Video | None = None) -> None:
    """Raise QuotaExceeded if a file of ``size`` bytes may not join the creator's unfinished videos.

    They may be CREATOR_QUEUE_VIDEOS, and have CREATOR_QUEUE_BYTES together; a single one may be larger.
    The open job of ``replaced`` does not count, nor do captions, nor versions that are made again.
    Uploads that arrive at the same moment are counted when they are complete, so that none is refused
    after its last byte.
    """
    unfinished = ProcessingJob.objects.open().filter(video__creator=creator)
    again = (ProcessingJob.Stage.AGAIN, ProcessingJob.Stage.CAPTIONS)
    unfinished = unfinished.exclude(stage__in=again)
    if replaced is not None:
        unfinished = unfinished.exclude(video=replaced)
    found = unfinished.aggregate(videos=Count("pk"), size=Sum("video__source_size"))
    if found["videos"] >= settings.CREATOR_QUEUE_VIDEOS or (
        found["size"] and found["size"] + size > settings.CREATOR_QUEUE_BYTES
    ):
        raise QuotaExceeded(
            f"{found['videos']} of the creator's videos, {found['size'] or 0} bytes together, are not "
            f"processed yet. There may be {settings.CREATOR_QUEUE_VIDEOS} videos and "
            f"{settings.CREATOR_QUEUE_BYTES} bytes. Try again when some of them are ready."
        )


def claim_next(
    worker: str,
    *,
    due_for: timedelta = timedelta(0),
    stages: Collection[ProcessingJob.Stage] = tuple(ProcessingJob.Stage),
) -> ProcessingJob | None:
    """Claim a due job for ``worker`` and return it, or None if there is none to claim.

    First renditions come before all others, and creators take turns (``in_turns``). Only jobs at one of
    ``stages`` are claimed, and those that have been due for ``due_for``.
    A job with more than MAX_ATTEMPTS_LOST attempts is given up instead (worker_lost).
    """
    while job := ProcessingJob.objects.claim_next(
        worker=worker, lease=lease(), stages=stages, due_for=due_for
    ):
        if job.attempt <= ProcessingJob.MAX_ATTEMPTS_LOST:
            return job
        with suppress(LeaseLost):
            give_up(job, *WORKER_LOST)
    return None


@transaction.atomic
def begin(job: ProcessingJob) -> None:
    """Set the video to PROCESSING if this is the first attempt at its job. Safe to repeat.

    Raises LeaseLost if this attempt no longer owns the job.
    """
    if not ProcessingJob.objects.held(job).exists():
        raise LeaseLost()
    changed = Video.objects.filter(pk=job.video_id, job=job, status=Video.Status.UPLOADED).update(
        status=Video.Status.PROCESSING
    )
    if changed:
        audit.record(actor=None, action=AuditAction.VIDEO_PROCESSING, target=job.video)


def keep(job: ProcessingJob) -> bool:
    """Prolong the lease of the job. Return False if this attempt no longer owns it and must stop."""
    return bool(ProcessingJob.objects.held(job).update(lease_until=Now() + lease()))


def is_held(job: ProcessingJob) -> bool:
    """Return whether this attempt still owns its job. It does not after a deletion or a newer file."""
    return ProcessingJob.objects.held(job).exists()


def cancel_open(video: Video) -> None:
    """Cancel the open job of a video, whose work then stops within a second.

    A growing version, which will not be finished, is withdrawn. Call it with the video's row locked.
    """
    _withdraw_growing(video.pk)
    _cancel(video, ProcessingJob.Kind.values)


def _cancel(video: Video, kinds: Collection[str]) -> None:
    ProcessingJob.objects.open().filter(video=video, kind__in=kinds).update(
        state=ProcessingJob.State.CANCELED, lease_until=None, finished_at=Now()
    )
    Chunk.objects.filter(job__video=video, job__state=ProcessingJob.State.CANCELED).delete()


def _withdraw_growing(video_id: UUID) -> None:
    """Leave a video without a version if its version grows: its end would never come.

    The length stays: what its viewers were sent is a share of it, when one of them wants a refund.
    """
    Video.objects.filter(pk=video_id, completeness=Video.Completeness.GROWING).update(
        current_version="",
        completeness=Video.Completeness.FULL,
        width=None,
        height=None,
        renditions=[],
    )


def report(job: ProcessingJob, step: str, percent: int) -> None:
    """Write the attempt's progress: the pipeline's step, and 0 to 100 percent of the whole.

    Raises LeaseLost if this attempt no longer owns the job.
    """
    if not ProcessingJob.objects.held(job).update(step=step, percent=min(100, max(0, percent))):
        raise LeaseLost()


def give_back(
    job: ProcessingJob,
    *,
    wait: timedelta | None = None,
    code: str = "",
    detail: str = "",
) -> None:
    """Return a claimed job to the queue without counting the attempt, due at once or after ``wait``.

    For a worker that is told to stop, and for causes outside of the job: a missing tool, or a database
    or storage that is not reachable. ``code`` and ``detail`` tell the creator what it waits for. Changes
    nothing if this attempt no longer owns the job.
    """
    ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.QUEUED,
        attempt=F("attempt") - 1,
        not_before=Now() + wait if wait else Now(),
        lease_until=None,
        step="",
        percent=0,
        error_code=code,
        error_detail=detail,
    )


@transaction.atomic
def strike(job: ProcessingJob, code: str, detail: str, last_line: str = "") -> None:
    """Count a failure that is the job's own fault: queue the job again, or give it up.

    It is due again after BACKOFF, doubled with each strike; with ``max_attempts`` strikes it is given
    up. ``code`` and ``detail`` are shown to the creator until the next attempt begins.

    Changes nothing if this attempt no longer owns the job, except that giving up raises LeaseLost.
    """
    if job.strikes + 1 >= job.max_attempts:
        give_up(job, code, detail, last_line)
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
        last_line=last_line,
    )


@transaction.atomic
def give_up(job: ProcessingJob, code: str, detail: str, last_line: str = "") -> None:
    """End the job and set its video to FAILED. ``code`` and ``detail`` tell the creator the reason.

    A version that was published before can still be played, but a growing one is withdrawn. A video
    whose version should have been made again, or captioned, or imported, stays as it is. Raises
    LeaseLost if this attempt no longer owns the job.
    """
    _lock_video(job)
    changed = ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.FAILED,
        strikes=F("strikes") + 1,
        lease_until=None,
        finished_at=Now(),
        error_code=code,
        error_detail=detail[:500],
        last_line=last_line,
    )
    if not changed:
        raise LeaseLost()
    Chunk.objects.filter(job=job).delete()
    if job.kind == ProcessingJob.Kind.CAPTIONS:
        return
    if job.kind == ProcessingJob.Kind.IMPORT:
        audit.record(actor=None, action=AuditAction.IMPORT_FAILED, target=job.video, code=code)
        return
    if job.stage != ProcessingJob.Stage.AGAIN:
        Video.objects.filter(pk=job.video_id, job=job).update(status=Video.Status.FAILED)
        _withdraw_growing(job.video_id)
    audit.record(actor=None, action=AuditAction.VIDEO_FAILED, target=job.video, code=code)
    video_failed.send(sender=Video, video=Video.objects.select_related("job").get(pk=job.video_id))


def own(job: ProcessingJob) -> None:
    """Make sure until the end of the transaction that this attempt owns its job.

    Raises LeaseLost otherwise.
    """
    _lock_video(job)
    if not ProcessingJob.objects.held(job).update(lease_until=Now() + lease()):
        raise LeaseLost()


def go_on(job: ProcessingJob) -> None:
    """Return the job to the queue for its other renditions, with new attempts and strikes.

    Call it in the transaction that publishes the early version. Raises LeaseLost as ``finish`` does.
    """
    _lock_video(job)
    changed = ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.QUEUED,
        stage=ProcessingJob.Stage.REST,
        attempt=0,
        strikes=0,
        not_before=Now(),
        dispatched_at=Now(),
        lease_until=None,
        percent=0,
        step="",
    )
    if not changed:
        raise LeaseLost()
    engines.current().wake(job.pk, ProcessingJob.Stage.REST)


def finish(job: ProcessingJob) -> None:
    """Set the job to DONE. Call it in the transaction that publishes the version.

    Raises LeaseLost if this attempt no longer owns the job; the transaction must be rolled back then.
    """
    _lock_video(job)
    changed = ProcessingJob.objects.held(job).update(
        state=ProcessingJob.State.DONE, lease_until=None, finished_at=Now(), percent=100, step=""
    )
    if not changed:
        raise LeaseLost()
    Chunk.objects.filter(job=job).delete()


def _lock_video(job: ProcessingJob) -> None:
    Video.objects.select_for_update().filter(pk=job.video_id).values_list("pk").first()
