"""Heavy work waits until the machine has room for it; light work does not."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from config import processors
from videos import admission, presence
from videos.models import ProcessingJob
from videos.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
Stage = ProcessingJob.Stage
MEMINFO = "MemTotal:       16384000 kB\nMemFree:  10 kB\nMemAvailable:    8192000 kB\n"


@pytest.fixture
def worked(monkeypatch):
    """The jobs that a worker would carry out."""
    taken: list[ProcessingJob] = []
    monkeypatch.setattr(Worker, "work_on", lambda self, job: taken.append(job))
    return taken


@pytest.fixture
def heavy(uploaded_video):
    """A job that waits for all renditions."""
    ProcessingJob.objects.update(stage=Stage.REST)
    return ProcessingJob.objects.get()


def little_memory(monkeypatch):
    monkeypatch.setattr(admission, "memory", lambda: (100 * admission.MB, 8000 * admission.MB))


def many_encodes(make_video):
    host = presence.worker_name().rpartition("/")[0]
    for number in range(max(admission.LEAST_ENCODES, processors.count())):
        video = make_video()
        ProcessingJob.objects.create(
            key=f"k{number}", video=video, creator=video.creator, stage=Stage.REST,
            state="running", worker=f"{host}/{number}", source_path="x", max_attempts=3,
            lease_until=timezone.now() + timedelta(minutes=1), not_before=Now(),
        )  # fmt: skip


@pytest.mark.parametrize("short_of", ["memory", "processors"])
def test_an_encode_waits_for_room_and_begins_late_all_the_same(
    short_of, heavy, worked, monkeypatch, make_video, caplog
):
    if short_of == "memory":
        little_memory(monkeypatch)
    else:
        many_encodes(make_video)
    worker = Worker()

    assert [worker.do_one(), worker.do_one()] == [False, False]
    assert worked == []
    assert caplog.text.count("Encodes of all renditions wait") == 1

    ProcessingJob.objects.filter(pk=heavy.pk).update(
        not_before=timezone.now() - admission.PATIENCE - timedelta(seconds=1)
    )
    assert worker.do_one()
    assert worked == [heavy]


def test_light_work_begins_without_room(uploaded_video, worked, monkeypatch):
    little_memory(monkeypatch)

    assert Worker().do_one()
    assert worked[0].stage == Stage.FIRST


def test_an_encode_begins_where_there_is_room(heavy, worked, monkeypatch):
    monkeypatch.setattr(admission, "memory", lambda: (600 * admission.MB, 8000 * admission.MB))

    assert Worker().do_one()
    assert worked == [heavy]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, (8_192_000 * 1024, 16_384_000 * 1024)),
        ("max", (8_192_000 * 1024, 16_384_000 * 1024)),
        ("1000000", (400_000, 1_000_000)),
    ],
)
def test_memory_is_that_of_the_machine_or_of_its_container(tmp_path, monkeypatch, limit, expected):
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(admission, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(admission, "CGROUP", tmp_path)
    if limit:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("700000\n")
        (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 100000\n")

    assert admission.memory() == expected


def test_a_system_that_does_not_tell_refuses_nothing(heavy, worked, tmp_path, monkeypatch):
    monkeypatch.setattr(admission, "MEMINFO", tmp_path / "nothing")

    assert Worker().do_one()
