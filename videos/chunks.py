"""The queue of chunks: parts of the encodes of jobs, which all workers share that have no job to do.

As with jobs (``videos.jobs``), a lease ends by the database's clock, a fence distinguishes attempts, and
each change is one UPDATE that applies only while the attempt owns its chunk. Rows are locked after the
video and the job.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from config import processors
from videos import jobs
from videos.errors import LeaseLost
from videos.models import Chunk, ProcessingJob, WorkerPresence
from videos.processing.cutting import Plan

# Claims of one chunk. After them only the job's own worker takes it, whose failures are strikes.
MOST_HELPED = 3
BACKOFF = timedelta(seconds=10)  # after an attempt that failed


@dataclass(frozen=True)
class Progress:
    """How far a job's chunks are: 0 to 100 percent of all pictures."""

    percent: int
    is_done: bool
    is_refused: bool


@transaction.atomic
def lay_out(job: ProcessingJob, plan: Plan, *, has_sound: bool) -> None:
    """Write the chunks of a job, the sound as number 0.

    Those of an earlier attempt stay if their plan is the same. Raises LeaseLost if this attempt no
    longer owns the job.
    """
    jobs.own(job)
    numbered = enumerate(plan.parts, 1)
    wanted = [(0, 0, 0)] * has_sound + [(n, part.first, part.frames) for n, part in numbered]
    there = Chunk.objects.filter(job=job, plan=plan.signature).order_by("number")
    if list(there.values_list("number", "first_frame", "frames")) == wanted:
        return
    Chunk.objects.filter(job=job).delete()
    Chunk.objects.bulk_create(
        Chunk(
            job=job,
            plan=plan.signature,
            number=number,
            first_frame=first,
            frames=frames,
            due_at=Now(),
        )
        for number, first, frames in wanted
    )


def progress(job: ProcessingJob) -> Progress:
    """Return how far all workers are together."""
    rows = list(Chunk.objects.filter(job=job).values_list("state", "frames", "percent"))
    frames = sum(each[1] for each in rows) or 1
    done = sum(each[1] * each[2] for each in rows)
    states = {state for state, _, _ in rows}
    return Progress(
        percent=done // frames,
        is_done=states == {Chunk.State.DONE},
        is_refused=Chunk.State.REFUSED in states,
    )


def job_to_help(declined: Collection[UUID] = ()) -> ProcessingJob | None:
    """Return the job whose chunks an idle worker takes, or None if no chunk is due.

    Creators take turns: one for whom fewer chunks are being made comes first, then the older job. Jobs
    in ``declined`` are left out.
    """
    due = Chunk.objects.due().filter(attempt__lt=MOST_HELPED)
    waiting = ProcessingJob.objects.open().filter(pk__in=due.values("job")).exclude(pk__in=declined)
    taken = Counter(Chunk.objects.taken().values_list("job__video__creator", flat=True))
    return min(
        waiting.select_related("video"),
        key=lambda job: (taken[job.video.creator_id], job.created_at),
        default=None,
    )


def claim(job: ProcessingJob, worker: str, *, helping: bool) -> Chunk | None:
    """Give a due chunk of the job to ``worker``, and return it, or None if there is none.

    With ``helping`` the worker is not the one that carries the job out.
    """
    due = Chunk.objects.due().filter(job=job)
    if helping:
        due = due.filter(attempt__lt=MOST_HELPED)
    # Several candidates, because another worker may take the first ones meanwhile.
    for chunk_id in list(due.order_by("number").values_list("pk", flat=True)[:10]):
        claimed = (
            Chunk.objects.due()
            .filter(pk=chunk_id)
            .update(
                worker=worker,
                attempt=F("attempt") + 1,
                fence=F("fence") + 1,
                due_at=Now() + jobs.lease(),
                percent=0,
            )
        )
        if claimed:
            return Chunk.objects.select_related("job").filter(pk=chunk_id).first()
    return None


def keep(worker: str) -> None:
    """Prolong the leases of the chunks that ``worker`` makes."""
    Chunk.objects.filter(worker=worker, state=Chunk.State.OPEN).update(due_at=Now() + jobs.lease())


def release(worker: str) -> None:
    """Return the chunks to the queue that ``worker`` has taken and makes no more."""
    Chunk.objects.filter(worker=worker, state=Chunk.State.OPEN).update(
        due_at=Now(), worker="", percent=0
    )


def report(chunk: Chunk, percent: int) -> None:
    """Write how far a chunk is. Raises LeaseLost if this attempt no longer owns it."""
    if not Chunk.objects.held(chunk).update(percent=min(100, max(0, percent))):
        raise LeaseLost()


def finish(chunk: Chunk, sizes: Mapping[str, int], empty: Mapping[str, float]) -> None:
    """Set a chunk to DONE. Raises LeaseLost if this attempt no longer owns it."""
    changed = Chunk.objects.held(chunk).update(
        state=Chunk.State.DONE,
        percent=100,
        worker="",
        made={"sizes": dict(sizes), "empty": dict(empty)},
        finished_at=Now(),
    )
    if not changed:
        raise LeaseLost()


def put_back(chunk: Chunk, *, counted: bool) -> None:
    """Return a chunk to the queue: after a failure (``counted``) later, else without the attempt."""
    attempt = F("attempt") if counted else F("attempt") - 1
    Chunk.objects.held(chunk).update(
        due_at=Now() + BACKOFF if counted else Now(), attempt=attempt, worker="", percent=0
    )


def reopen(chunk: Chunk) -> None:
    """Return a chunk to the queue whose files are not there any more."""
    Chunk.objects.filter(pk=chunk.pk, state=Chunk.State.DONE).update(
        state=Chunk.State.OPEN, due_at=Now(), attempt=0, percent=0
    )


def refuse(job_id: UUID) -> None:
    """Let a job encode its video whole. All attempts at its chunks stop. Safe to repeat."""
    Chunk.objects.filter(job=job_id).update(state=Chunk.State.REFUSED, worker="")


def threads(worker: str) -> int:
    """Return how many threads a chunk may have: the worker's share of the processors of its host.

    0 leaves it to FFMPEG_THREADS, which goes before; so does a host with one worker.
    """
    neighbours = WorkerPresence.objects.alive().filter(
        name__startswith=worker.rsplit("/", 1)[0] + "/"
    )
    count = neighbours.count()
    return max(1, processors.count() // count) if count > 1 and not settings.FFMPEG_THREADS else 0
