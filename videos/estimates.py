"""How far a processing job is, and when it will be done: for the owner of its video.

An estimate says nothing rather than something wrong: it is None as long as the speed of the work, or the
length of the work before it, is not known.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q, Sum
from django.utils import timezone

from videos.models import Chunk, ProcessingJob, Video, WorkerPresence
from videos.processing.batches import work
from videos.processing.ladder import ladder
from videos.processing.pipeline import STEPS, rest_at_own_speed

Stage = ProcessingJob.Stage
State = ProcessingJob.State
FIRST_SHARE = 10  # percent of the whole that the first rendition counts
MEASURABLE_PERCENT = 3  # after which the speed of a run is known
RECENT_RUNS = 5  # whose speed is expected of the next one


def work_of(video: Video) -> float | None:
    """Return the pixels to encode for all renditions of a video, or None while its size is unknown."""
    if not video.duration_seconds or not video.width or not video.height:
        return None
    renditions = ladder(video.width, video.height, codecs=settings.LADDER_CODECS)
    return work(renditions) * video.duration_seconds


def still_to_come(video: Video) -> list[str]:
    """Return the names of the renditions that a video does not have yet, the largest first."""
    full = video.completeness == Video.Completeness.FULL
    if full or not video.width or not video.height:
        return []
    there = {each["name"] for each in video.renditions}
    renditions = ladder(video.width, video.height, codecs=settings.LADDER_CODECS)
    return [each.name for each in renditions if each.name not in there]


def percent_of(job: ProcessingJob, video: Video) -> int:
    """Return how much of the whole way to READY a job has gone, in percent."""
    if job.state == State.DONE:
        return 100
    if job.stage == Stage.FIRST or job.kind == ProcessingJob.Kind.IMPORT:
        return job.percent * FIRST_SHARE // 100
    if video.completeness == Video.Completeness.EARLY:
        return FIRST_SHARE + job.percent * (100 - FIRST_SHARE) // 100
    return job.percent


@dataclass
class Estimates:
    """Places and times of all open jobs, read from the database once, when the first is asked for."""

    now: datetime = field(default_factory=timezone.now)

    @cached_property
    def places(self) -> dict[UUID, int]:
        """The place in the queue of each waiting job, in the order in which workers take them."""
        waiting = ProcessingJob.objects.waiting().in_turns()
        return {pk: place for place, pk in enumerate(waiting, 1)}

    def seconds_left(self, job: ProcessingJob, video: Video) -> int | None:
        """Return the seconds until the video of an open job is READY, or None if that is unknown."""
        is_import = job.kind == ProcessingJob.Kind.IMPORT  # the work begins after it
        if job.state == State.RUNNING and job.stage != Stage.FIRST and not is_import:
            left = self._left_of_running(job, video)
        elif job.state in (State.QUEUED, State.RUNNING):
            left = self._left_of_waiting(job, video)
        else:
            return None
        return None if left is None else max(1, round(left))

    def _left_of_running(self, job: ProcessingJob, video: Video) -> float | None:
        """Return the rest of a run at its own speed so far, or at that of recent runs."""
        percent = job.percent - self._before.get(job.pk, 0)
        if job.started_at is not None and percent >= MEASURABLE_PERCENT:
            elapsed = (self.now - job.started_at).total_seconds()
            return rest_at_own_speed(elapsed, percent, job.percent)
        return self._expected(video)

    def _left_of_waiting(self, job: ProcessingJob, video: Video) -> float | None:
        own = self._expected(video)
        if own is None or not self._workers:
            return None
        before = 0.0
        place = self.places.get(job.pk, 0)
        for other in self._open:
            if other.pk == job.pk or self.places.get(other.pk, 0) > place:
                continue
            left = (
                self._left_of_running(other, other.video)
                if other.state == State.RUNNING
                else self._expected(other.video)
            )
            if left is None:
                return None
            before += left
        pause = max(0.0, (job.not_before - self.now).total_seconds())
        return max(pause, before / self._workers) + own

    def _expected(self, video: Video) -> float | None:
        work = work_of(video)
        return None if work is None or not self._speed else work / self._speed

    @cached_property
    def _before(self) -> dict[UUID, int]:
        """The percentage of each running job that was done in chunks before its present run began."""
        earlier = Q(state=Chunk.State.DONE, finished_at__lt=F("job__started_at"))
        rows = Chunk.objects.values_list("job").annotate(
            Sum("frames"), before=Sum("frames", filter=earlier)
        )
        share = STEPS["check"] - STEPS["encode"]
        return {job: share * (before or 0) // max(1, frames) for job, frames, before in rows}

    @cached_property
    def _workers(self) -> int:
        return WorkerPresence.objects.alive().count()

    @cached_property
    def _open(self) -> list[ProcessingJob]:
        # The time that an import takes depends on others. It is short beside what comes after it.
        open_jobs = ProcessingJob.objects.open().exclude(kind=ProcessingJob.Kind.IMPORT)
        return list(open_jobs.select_related("video"))

    @cached_property
    def _speed(self) -> float:
        """Pixels a second of the latest runs; 0 if there were none."""
        runs = ProcessingJob.objects.filter(
            state=State.DONE,
            started_at__isnull=False,
            finished_at__isnull=False,
            stage__in=(Stage.REST, Stage.AGAIN),
        )
        pixels = seconds = 0.0
        for run in runs.select_related("video").order_by("-finished_at")[:RECENT_RUNS]:
            if run.started_at and run.finished_at and (work := work_of(run.video)):
                pixels += work
                seconds += (run.finished_at - run.started_at).total_seconds()
        return pixels / seconds if seconds > 0 else 0.0
