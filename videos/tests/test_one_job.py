"""`run_worker --one-job`: one job, and an exit status that a scheduler of machines can act on."""

import signal
import time

import pytest
from django.conf import settings as project

from videos.models import ProcessingJob, Video
from videos.tests import processes
from videos.tests.processes import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media")]


def status_of_one(*options: str, **changes: str) -> int:
    return processes.start("run_worker", "--one-job", *options, **changes).wait(120)


@pytest.mark.long
def test_each_run_carries_out_one_job_at_its_stage(uploaded_video):
    assert status_of_one() == 0
    job = ProcessingJob.objects.get()
    assert (job.state, job.stage, job.fence) == ("queued", ProcessingJob.Stage.REST, 1)
    assert status_of_one() == 0
    assert Video.objects.get().status == "READY"
    assert status_of_one() == 3
    assert status_of_one("--if-none", "0") == 0


def test_a_job_that_fails_by_itself_is_carried_out_too(uploaded_video):
    (project.MEDIA_ROOT / ProcessingJob.objects.get().source_path).unlink()
    assert status_of_one() == 0
    assert ProcessingJob.objects.get().state == "failed"


@pytest.mark.long
def test_told_to_stop_it_gives_the_job_back(uploaded_video):
    process = processes.start("run_worker", "--one-job", FFMPEG_PRESET="slow")
    wait_for(lambda: ProcessingJob.objects.get().state == "running")
    told_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 4
    assert time.monotonic() - told_at < 10
    job = ProcessingJob.objects.get()
    assert (job.state, job.attempt) == ("queued", 0)


def test_without_tables_it_fails(tmp_path):
    assert status_of_one(DATABASE_URL=f"sqlite:///{tmp_path / 'none.sqlite3'}") == 1
