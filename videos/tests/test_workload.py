"""What readiness says of workers, the queue, the disk and the bucket."""

from concurrent.futures import Future
from datetime import timedelta

import pytest
from django.utils import timezone

from videos import presence, receivers, workload
from videos.models import ProcessingJob, WorkerPresence
from videos.storage import folder, seldom

pytestmark = pytest.mark.django_db


def test_a_worker_that_gave_a_sign_of_life_is_enough():
    assert workload.state_of_workers().state == "none"
    assert "yet" in workload.state_of_workers().reason

    presence.announce("one/ns/1")
    assert workload.state_of_workers() == ("worker", "ok", "")

    WorkerPresence.objects.update(seen_at=timezone.now() - timedelta(minutes=3, seconds=5))
    assert "for 3 minutes" in workload.state_of_workers().reason


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "old"),
        ({"created_at": timedelta(minutes=9)}, "ok"),
        ({"stage": ProcessingJob.Stage.AGAIN}, "ok"),
        ({"not_before": timedelta(minutes=-1)}, "ok"),  # it waits for a reason of its own
        ({"state": "running", "lease_until": timedelta(minutes=-1)}, "ok"),
        ({"state": "running", "lease_until": timedelta(minutes=1)}, "old"),  # its worker is dead
    ],
)
def test_a_video_that_has_waited_for_ten_minutes_makes_the_queue_old(uploaded_video, change, state):
    values = {"created_at": timedelta(minutes=14), "not_before": timedelta(minutes=14)} | change
    now = timezone.now()
    ProcessingJob.objects.update(
        **{
            name: now - value if isinstance(value, timedelta) else value
            for name, value in values.items()
        }
    )

    found = workload.state_of_the_queue()
    assert found.state == state
    assert ("14 minutes" in found.reason) is (state == "old")


def test_a_disk_with_little_room_is_low(monkeypatch):
    monkeypatch.setattr(folder, "space", lambda: (4, 100))
    assert receivers.disk() == ("disk", "low", "4% of the disk of MEDIA_DIR are free.")
    monkeypatch.setattr(folder, "space", lambda: (5, 100))
    assert receivers.disk().state == "ok"


def test_the_bucket_is_looked_at_seldom_and_nobody_waits_for_it(monkeypatch, settings):
    settings.STORAGE = "s3"
    looks: list[Future] = []

    def begin(work):
        looks.append(Future())
        return looks[-1]

    monkeypatch.setattr(seldom.bounded, "begin", begin)
    look = seldom.CloseLook()

    assert [look.fault(), look.fault()] == ["", ""]
    looks[0].set_result(True)
    assert "Strangers" in look.fault()
    assert len(looks) == 1

    look._begun_at -= seldom.AGAIN_SECONDS  # a fault is looked at again soon, and no fault seldom
    assert "Strangers" in look.fault()  # until the next look has ended
    looks[1].set_result(False)
    assert look.fault() == ""
    look._begun_at -= seldom.AGAIN_SECONDS
    assert look.fault() == ""
    assert len(looks) == 2
    look._begun_at -= seldom.EVERY_SECONDS
    assert (look.fault(), len(looks)) == ("", 3)
