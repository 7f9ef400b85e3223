"""Where a job is, and when it will be done, as its owner is told."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from videos import estimates, jobs, presence
from videos.models import Chunk, ProcessingJob, Video, WorkerPresence
from videos.services import catalogue, publishing, sources
from videos.tests.claims import claim_due
from videos.tests.media import make_clip

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media"), pytest.mark.long]
URL = "/api/v1/videos/"
WORK = 60 * (640 * 360 + 416 * 234)  # pixels of a video of 60 seconds, in both renditions


@pytest.fixture
def waiting(make_video):
    """A function that makes a video that is playable, and whose other renditions wait."""

    def make(seconds: float = 60.0, **fields) -> Video:
        video = make_video(status="PROCESSING", duration_seconds=seconds)
        job = ProcessingJob.objects.create(
            key=str(video.pk),
            video=video,
            creator=video.creator,
            source_path=video.source_path,
            not_before=Now(),
            **fields,
        )
        Video.objects.filter(pk=video.pk).update(job=job, completeness="early")
        return video

    return make


@pytest.fixture
def earlier_run(make_video):
    """A finished run of a video of 60 seconds that took 30."""
    video = make_video()
    end = timezone.now()
    ProcessingJob.objects.create(
        key="earlier", video=video, creator=video.creator, source_path="x", state="done",
        started_at=end - timedelta(seconds=30), finished_at=end,
    )  # fmt: skip


@pytest.fixture
def a_worker():
    presence.announce("w")


@pytest.fixture
def told(client_for):
    def get(video) -> dict:
        return client_for(video.creator).get(f"{URL}{video.pk}").json()["processing"]

    return get


@pytest.mark.usefixtures("earlier_run", "a_worker")
def test_a_waiting_video_is_told_the_time_of_all_before_it(waiting, told):
    first, second = waiting(), waiting(120.0)

    assert (told(first)["queue_position"], told(first)["eta_seconds"]) == (1, 30)
    assert (told(second)["queue_position"], told(second)["eta_seconds"]) == (2, 90)

    presence.announce("another worker")
    assert told(second)["eta_seconds"] == 75


@pytest.mark.usefixtures("earlier_run", "a_worker")
def test_a_running_video_goes_by_its_own_speed(waiting, told):
    video, behind = waiting(), waiting()
    job = claim_due("w")
    ProcessingJob.objects.filter(pk=job.pk).update(
        percent=20, started_at=timezone.now() - timedelta(seconds=25), step="encode"
    )
    assert told(video) == {
        "step": "encode", "percent": 28, "attempts": 1, "queue_position": None,
        "eta_seconds": pytest.approx(100, abs=2), "error": None, "stage": "rest",
        "still_to_come": ["240p"], "last_line": None,
    }  # fmt: skip
    assert told(behind)["eta_seconds"] == pytest.approx(130, abs=2)


@pytest.mark.usefixtures("earlier_run", "a_worker")
def test_chunks_of_an_earlier_attempt_are_no_speed_of_this_one(waiting, told):
    """Half of the video was done before; a tenth of it took this attempt 25 seconds."""
    video = waiting()
    job = claim_due("w")
    now = timezone.now()
    ProcessingJob.objects.filter(pk=job.pk).update(
        percent=54, started_at=now - timedelta(seconds=25), step="encode"
    )
    Chunk.objects.create(
        job=job, number=1, first_frame=0, frames=500, state="done",
        finished_at=now - timedelta(seconds=60),
    )  # fmt: skip
    Chunk.objects.create(job=job, number=2, first_frame=500, frames=500)
    assert told(video)["eta_seconds"] == pytest.approx(115, abs=2)


def test_what_is_not_known_is_not_invented(waiting, told, earlier_run):
    video = waiting()
    assert told(video)["eta_seconds"] is None  # no worker runs
    presence.announce("w")
    assert told(video)["eta_seconds"] == 30
    ProcessingJob.objects.filter(key="earlier").delete()
    assert told(video)["eta_seconds"] is None  # no speed is known
    Video.objects.update(duration_seconds=None)
    assert told(video)["eta_seconds"] is None
    WorkerPresence.objects.all().delete()
    assert told(video)["eta_seconds"] is None


@pytest.mark.usefixtures("earlier_run", "a_worker")
def test_it_is_never_negative_or_over_before_the_end(waiting, told):
    video = waiting()
    job = claim_due("w")
    for percent, ahead in ((100, -50), (50, 3600), (3, 0)):
        ProcessingJob.objects.filter(pk=job.pk).update(
            percent=percent, started_at=timezone.now() + timedelta(seconds=ahead)
        )
        assert told(video)["eta_seconds"] >= 1


def test_nothing_is_to_come_of_what_has_ended(make_video, told):
    video = make_video()
    assert told(video)["eta_seconds"] is None
    assert estimates.still_to_come(video) == []


def test_a_real_run_is_told_by_its_own_speed_at_each_step(
    creator, received, tmp_path, process_stage, told, monkeypatch
):
    """How near this comes to the truth is measured by `make bench-pipeline`."""
    path = make_clip(tmp_path / "clip.mp4", seconds=4, size="640x360")
    video = catalogue.create_video(creator=creator, title="x")
    sources.attach_source(video=video, received=received(path), actor=creator)
    process_stage()
    claimed = claim_due("w")
    percents: list[int] = []
    real = jobs.report

    def report(job, step, percent):
        real(job, step, percent)
        row = ProcessingJob.objects.get(pk=job.pk)
        if row.started_at is None or row.percent < 20:
            return
        least = timezone.now() - row.started_at
        eta = told(video)["eta_seconds"]
        most = timezone.now() - row.started_at
        rest = (100 - row.percent) / row.percent
        assert round(least.total_seconds() * rest) <= eta
        assert eta <= max(1, round(most.total_seconds() * rest))
        percents.append(row.percent)

    monkeypatch.setattr(jobs, "report", report)
    publishing.process(claimed)

    assert percents[-1] >= 99
    assert percents == sorted(percents)
