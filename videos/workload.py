"""Whether the work on videos goes on: a live worker, and how long videos wait. For readiness."""

from datetime import timedelta

from django.db.models import Max
from django.utils import timezone

from config.health import Part
from videos.models import ProcessingJob, WorkerPresence

WAITING = timedelta(minutes=10)  # after which a queue is old
# Videos that nobody can play, or not in full. Others are made again behind them, however long it takes.
URGENT = (ProcessingJob.Stage.FIRST, ProcessingJob.Stage.REST)


def state_of_workers() -> Part:
    """Return "none" unless a worker gave a sign of life within a minute."""
    if WorkerPresence.objects.alive().exists():
        return Part("worker")
    last = WorkerPresence.objects.aggregate(last=Max("seen_at"))["last"]
    since = f"for {_minutes(timezone.now() - last)}" if last else "yet"
    reason = f"No worker has given a sign of life {since}: videos, mails and renewals wait."
    return Part("worker", "none", reason)


def state_of_the_queue() -> Part:
    """Return "old" if a video has waited for WAITING and a worker could take it."""
    due = ProcessingJob.objects.due().filter(stage__in=URGENT)
    first = due.order_by("created_at").values_list("created_at", flat=True).first()
    age = timezone.now() - first if first else timedelta(0)
    if age < WAITING:
        return Part("queue")
    return Part("queue", "old", f"The oldest video that waits has waited for {_minutes(age)}.")


def _minutes(age: timedelta) -> str:
    number = int(age.total_seconds() // 60)
    return f"{number} minutes" if number != 1 else "1 minute"
