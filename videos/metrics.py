"""The figures of the queue, the workers, the steps of processing and the storage."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from statistics import quantiles

from django.conf import settings
from django.db.models import Count, Max, Min
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client.core import Metric

from audit.actions import AuditAction
from audit.models import AuditEntry
from config.metrics import figures, gauge, gauges, id_after
from videos import storage
from videos.models import ProcessingJob, Video, WorkerPresence
from videos.moderation import waiting
from videos.storage import folder

DAY = timedelta(days=1)
RECENT = 100  # finished jobs whose times are told
TO_READ = 500  # ended jobs that are read at most


@figures("queue")
def queue() -> Iterator[Metric]:
    """Two statements, over the index of the open jobs; the oldest by the database's clock."""
    rows = (
        ProcessingJob.objects.open()
        .order_by()
        .values_list("stage", "state")
        .annotate(number=Count("pk"), oldest=Now() - Min("created_at"))
    )
    depth = {
        (_stage(stage), state): 0.0
        for stage in ProcessingJob.Stage
        for state in ("queued", "running")
    }
    age = dict(depth)
    for stage, state, number, oldest in rows:
        depth[_stage(stage), state] = number
        age[_stage(stage), state] = max(0.0, oldest.total_seconds())
    labels = ["stage", "state"]
    yield gauges("queue_jobs", "Open processing jobs.", labels, depth)
    text = "Age of the oldest open processing job, since its upload; 0 without one."
    yield gauges("queue_oldest_seconds", text, labels, age)
    due = ProcessingJob.objects.due().aggregate(number=Count("pk"))["number"]
    yield gauge("queue_due_jobs", "Processing jobs that a worker could take at this moment.", due)


def _stage(number: int) -> str:
    return ProcessingJob.Stage(number).name.lower()


@figures("workers")
def workers() -> Iterator[Metric]:
    seen = WorkerPresence.objects.aggregate(seen=Max("seen_at"))["seen"]
    alive = WorkerPresence.objects.alive().count()
    yield gauge("workers", "Workers that gave a sign of life within a minute.", alive)
    text = "When a worker gave its latest sign of life (Unix time)."
    yield gauge("worker_seen_time_seconds", text, seen.timestamp() if seen else None)


@figures("processing", every=15.0)
def processing() -> Iterator[Metric]:
    """Three statements, over the primary key of jobs and an index of the audit log."""
    jobs = ProcessingJob.objects.filter(pk__gte=id_after(DAY)).order_by("-pk")
    rows = list(
        jobs.values_list("state", "kind", "error_code", "created_at", "finished_at")[:TO_READ]
    )
    ended = Counter((state, code) for state, _, code, _, end in rows if end is not None)
    text = f"Jobs of the last day that have ended, of the newest {TO_READ}, by state and reason."
    yield gauges("processing_ended_jobs", text, ["state", "reason"], ended)
    whole = [
        (end - begin).total_seconds()
        for state, kind, _, begin, end in rows
        if end is not None and (state, kind) == ("done", ProcessingJob.Kind.TRANSCODE)
    ]
    text = (
        f"Seconds from the upload to all renditions, of the latest {RECENT} videos of the last day."
    )
    yield gauges("processing_seconds", text, ["quantile"], _quantiles(whole[:RECENT]))
    steps: defaultdict[str, list[float]] = defaultdict(list)
    actions = (AuditAction.VIDEO_PLAYABLE, AuditAction.VIDEO_READY)
    for action in actions:
        entries = AuditEntry.objects.filter(action=action, at__gte=timezone.now() - DAY)
        for data in entries.order_by("-at").values_list("data", flat=True)[:RECENT]:
            for step, seconds in data.get("seconds", {}).items():
                steps[step].append(seconds)
    text = f"Seconds that a step took, of the latest {RECENT} versions of the last day."
    values = {
        (step, *key): value
        for step, seconds in steps.items()
        for key, value in _quantiles(seconds).items()
    }
    yield gauges("processing_step_seconds", text, ["step", "quantile"], values)


def _quantiles(values: list[float]) -> dict[tuple[str, ...], float]:
    if not values:
        return {}
    cuts = quantiles([*values, values[-1]], n=20, method="inclusive")
    return {("0.5",): cuts[9], ("0.95",): cuts[18], ("1",): max(values)}


@figures("videos", every=60.0)
def videos() -> Iterator[Metric]:
    rows = (
        Video.objects.filter(deleted_at=None).order_by().values_list("status").annotate(Count("pk"))
    )
    found = {(status,): 0.0 for status in Video.Status.values}
    found |= {(status,): number for status, number in rows}
    yield gauges("videos", "Videos that are not deleted, by status.", ["status"], found)


@figures("moderation", every=15.0)
def moderation() -> Iterator[Metric]:
    """Two statements, over the indexes of what is open."""
    waits = {("case",): waiting.cases(), ("appeal",): waiting.appeals()}
    now = timezone.now()
    age = {
        kind: max(0.0, (now - since).total_seconds()) if since else 0.0
        for kind, (_, since) in waits.items()
    }
    text = "Reported videos and appeals that wait for a moderator."
    yield gauges("moderation_waiting", text, ["kind"], {k: w.number for k, w in waits.items()})
    text = "Age of the oldest of them; 0 without one."
    yield gauges("moderation_oldest_seconds", text, ["kind"], age)


@figures("storage", needs_tables=False)
def stored() -> Iterator[Metric]:
    yield gauges(
        "storage_info", "Always 1; the label is STORAGE.", ["kind"], {(settings.STORAGE,): 1}
    )
    free = total = None
    with suppress(OSError):  # storage_up tells
        free, total = folder.space()
    yield gauge("media_free_bytes", "Free bytes of the file system of MEDIA_DIR.", free)
    yield gauge("media_total_bytes", "Bytes of the file system of MEDIA_DIR.", total)


@figures("storage_state", every=10.0, needs_tables=False)  # a bucket that hangs delays no other
def storage_state() -> Iterator[Metric]:
    usable = storage.state() != "unavailable"
    text = "1 if MEDIA_DIR, and the bucket with STORAGE=s3, can be used, else 0."
    yield gauge("storage_up", text, float(usable))
