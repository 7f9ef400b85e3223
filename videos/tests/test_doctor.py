"""The doctor's checks of the workers, the queue, the tools and their cage."""

import shutil
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from config.tests.doctoring import said, worst
from videos import doctor, jobs, presence
from videos.models import ProcessingJob, WorkerPresence
from videos.processing import cage, holes, tools
from videos.processing.errors import ToolFailed, ToolMissing
from videos.processing.isolation import Isolation

pytestmark = pytest.mark.django_db
BWRAP = Isolation("bwrap", "bubblewrap 0.8.0", "/usr/bin/bwrap")
NOT_INSTALLED = Isolation("limits", "bubblewrap is not installed")
FORBIDDEN = Isolation("limits", "bubblewrap does not work here (no permissions)")


def seen(name: str, *, ago: timedelta) -> None:
    presence.announce(name)
    WorkerPresence.objects.filter(name=name).update(seen_at=timezone.now() - ago)


@pytest.fixture
def job(make_video):
    video = make_video(ready=False, status="UPLOADED", source_path="sources/x/source")
    return jobs.queue(video, video.source_path)


def change(job: ProcessingJob, **values) -> None:
    ProcessingJob.objects.filter(pk=job.pk).update(**values)


@pytest.fixture
def caged(monkeypatch):
    def by(isolation: Isolation) -> None:
        monkeypatch.setattr(cage, "describe", lambda: isolation)

    by(BWRAP)
    return by


@pytest.fixture
def version(monkeypatch, caged):
    def of(ffmpeg: str, ffprobe: str = "") -> None:
        found = {"ffmpeg": ffmpeg, "ffprobe": ffprobe or ffmpeg, "packager": "3.8.0"}
        monkeypatch.setattr(tools, "versions", lambda: found)

    return of


# --- workers and the queue ----------------------------------------------------------------------


def test_no_worker_is_a_warning_and_an_error_when_videos_wait(job):
    assert worst("worker") == "error"
    assert "No worker has run yet: nobody processes videos (1 wait)" in said("worker")

    ProcessingJob.objects.all().delete()
    assert worst("worker") == "warning"


def test_a_worker_that_gave_a_sign_of_life_is_good_and_a_silent_one_is_not(job):
    seen("one/ns/1", ago=timedelta(seconds=11))
    assert worst("worker") == "ok"

    seen("one/ns/1", ago=timedelta(seconds=61))
    assert worst("worker") == "error"
    assert "No worker has run since 20" in said("worker")


def test_announcing_again_prolongs_and_makes_no_second_row():
    seen("one/ns/1", ago=timedelta(minutes=5))
    started = WorkerPresence.objects.get().started_at
    presence.announce("one/ns/1")

    assert worst("worker") == "ok"
    assert WorkerPresence.objects.get().started_at == started


def test_rows_of_old_workers_are_deleted():
    seen("old/ns/1", ago=timedelta(days=8))
    seen("new/ns/1", ago=timedelta(days=6))

    assert presence.forget_workers() == 1
    assert WorkerPresence.objects.get().name == "new/ns/1"


def test_workers_of_two_hosts_need_a_shared_database_and_cache(settings, monkeypatch):
    for host in ("one", "two"):
        presence.announce(f"{host}/ns/1")
    monkeypatch.setattr(doctor, "connection", SimpleNamespace(vendor="sqlite"))
    assert worst("worker") == "error"

    monkeypatch.setattr(doctor, "connection", SimpleNamespace(vendor="postgresql"))
    assert worst("worker") == "warning"

    settings.CACHE_URL = "redis://127.0.0.1/0"
    assert worst("worker") == "ok"


def test_a_video_that_waits_for_long_is_a_warning(job):
    assert worst("queue") == "ok"

    change(job, created_at=timezone.now() - timedelta(minutes=20))
    assert worst("queue") == "warning"
    assert "waited for 20 minutes" in said("queue")


def test_many_failed_jobs_are_a_warning(make_video):
    for number in range(5):
        video = make_video()
        ProcessingJob.objects.create(
            key=str(number),
            video=video,
            creator=video.creator,
            source_path="x",
            state="failed",
            error_code="damaged",
            finished_at=timezone.now(),
        )
    assert worst("queue") == "warning"
    assert "5 failed and 0 succeeded; the newest by damaged" in said("queue")

    ProcessingJob.objects.update(finished_at=timezone.now() - timedelta(days=2))
    assert worst("queue") == "ok"


# --- the tools and their cage -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("isolation", "wanted", "level", "remedy"),
    [
        (BWRAP, "auto", "ok", ""),
        (NOT_INSTALLED, "auto", "warning", "apt-get install bubblewrap"),
        (FORBIDDEN, "auto", "warning", "Allow unprivileged user namespaces"),
        (NOT_INSTALLED, "limits", "warning", "set FFMPEG_SANDBOX=auto"),
    ],
)
def test_the_cage(caged, settings, isolation, wanted, level, remedy):
    settings.FFMPEG_SANDBOX = wanted
    caged(isolation)

    assert worst("isolation") == level
    assert remedy in said("isolation")


def test_a_cage_that_is_demanded_and_missing_is_an_error(settings, monkeypatch):
    settings.FFMPEG_SANDBOX = "bwrap"
    monkeypatch.setattr(shutil, "which", lambda name: None)

    assert worst("isolation") == "error"


@pytest.mark.parametrize(
    ("number", "affected"),
    [
        ("8.1.2", True),
        ("n8.1.2", True),
        ("8.1.2-static", True),
        ("8.1", True),
        ("7.0.3-1ubuntu1", True),
        ("8.1.3", False),
        ("8.1.10", False),
        ("9.0", False),
        ("N-118000-gabcdef", None),
    ],
)
def test_which_versions_have_a_known_hole(number, affected):
    found = holes.of_ffmpeg(number)

    assert found is None if affected is None else bool(found) == affected


def test_a_known_hole_is_a_warning_that_says_what_stands_against_it(version, caged):
    version("8.1.2")
    assert worst("ffmpeg") == "warning"
    assert "CVE-2026-107697" in said("ffmpeg")
    assert "the list of formats and bubblewrap stand against them" in said("ffmpeg")
    assert len(list(doctor.known_holes())) == 1  # ffmpeg and ffprobe in one line

    caged(NOT_INSTALLED)
    assert "only the list of formats stands" in said("ffmpeg")
    assert "install bubblewrap" in said("ffmpeg")


def test_versions_without_a_known_hole(version):
    version("8.1.3", "9.0.2")
    assert worst("ffmpeg") == "ok"

    version("8.1.3", "N-118000-gabcdef")
    assert worst("ffmpeg") == "warning"


@pytest.mark.parametrize("fault", [ToolMissing("There is no ffmpeg."), ToolFailed("It crashed.\n")])
def test_tools_that_do_not_work_are_an_error(monkeypatch, fault):
    def broken():
        raise fault

    monkeypatch.setattr(tools, "versions", broken)

    assert worst("tools") == "error"
    assert worst("ffmpeg") == "ok"  # told once


@pytest.mark.programs
def test_the_real_tools_work_and_a_missing_one_is_found(settings):
    assert worst("tools") == "ok"

    settings.PACKAGER_PATH = "/nowhere/packager"
    assert worst("tools") == "error"
    assert "Set PACKAGER_PATH" in said("tools")


def test_a_model_without_the_package_is_an_error(settings, monkeypatch, tmp_path):
    assert said("captions") == ""

    settings.CAPTIONS_MODEL = tmp_path
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert worst("captions") == "error"
    assert "faster-whisper is not installed" in said("captions")

    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    assert worst("captions") == "ok"
