"""The worker in this process, and what the child that carries out a job may still do."""

import time

import pytest
from django.db import transaction

from videos import jobs, presence, worker
from videos.services import publishing
from videos.worker import Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media")]


@pytest.fixture
def claimed(uploaded_video):
    return jobs.claim_next(presence.worker_name())


def test_a_child_that_has_ended_its_job_may_clean_up(claimed, media, monkeypatch):
    def process(job):
        jobs.begin(job)
        with transaction.atomic():
            jobs.finish(job)
        time.sleep(2 * worker.CHECK_SECONDS + 0.2)  # longer than it takes to see that it is done
        (media / "cleaned").touch()

    monkeypatch.setattr(publishing, "process", process)

    Worker().work_on(claimed)

    assert (media / "cleaned").exists()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.strikes) == ("done", 0)


def test_a_child_that_does_not_notice_that_its_job_is_lost_is_ended(claimed, media, monkeypatch):
    def process(job):
        jobs.begin(job)
        with transaction.atomic():
            jobs.cancel_open(job.video)
        time.sleep(60)
        (media / "cleaned").touch()

    monkeypatch.setattr(publishing, "process", process)
    monkeypatch.setattr(worker, "FAREWELL_SECONDS", 1.0)
    began_at = time.monotonic()

    Worker().work_on(claimed)

    assert time.monotonic() - began_at < 30
    assert not (media / "cleaned").exists()
    claimed.refresh_from_db()
    assert claimed.state == "canceled"
