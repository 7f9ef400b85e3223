"""The worker as a real process that is killed, stopped, starved and told to go."""

import os
import random
import signal
import time
from datetime import timedelta
from functools import partial

import psutil
import pytest
from django.utils import timezone

from audit.models import AuditEntry
from videos.models import ProcessingJob, Video, WorkerPresence
from videos.services import catalogue, garbage, sources
from videos.tests import processes, shared
from videos.tests.media import ffmpeg, make_clip, picture
from videos.tests.processes import wait_for, worker
from videos.worker import NICENESS

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media"),
    pytest.mark.long,
]


@pytest.fixture(scope="session")
def longer_clip():
    """A video that takes some seconds to process, so that its processing can be interrupted."""
    return shared.clip("longer.mp4", partial(make_clip, seconds=8, size="640x360"))


@pytest.fixture
def upload(creator, received, longer_clip):
    def add(path=longer_clip) -> Video:
        video = catalogue.create_video(creator=creator, title="A video")
        return sources.attach_source(video=video, received=received(path), actor=creator)

    return add


def job_of(video) -> ProcessingJob:
    return ProcessingJob.objects.get(video=video)


def status(video) -> str:
    return Video.objects.values_list("status", flat=True).get(pk=video.pk)


def has_begun(video):
    """Return the FFmpeg processes of the video's encode, or a false value before it has begun."""
    return job_of(video).step == "encode" and processes.tools("ffmpeg")


def taken_by(process, video) -> bool:
    job = job_of(video)
    return job.worker.endswith(f"/{process.pid}") or job.state == "done"


def end_backoff() -> bool:
    ProcessingJob.objects.filter(state="queued").update(
        not_before=timezone.now() - timedelta(seconds=1)
    )
    return True


def assert_ready_once(video) -> None:
    video.refresh_from_db()
    assert video.status == "READY"
    entries = AuditEntry.objects.filter(target_id=str(video.pk), action="video.ready")
    assert [entry.data["version"] for entry in entries] == [video.current_version]
    assert (video.version_folder / "master.m3u8").is_file()


def assert_one_version(video) -> None:
    """Assert that one version is left after the clean-up.

    A kill between rename and commit leaves a folder, which the clean-up removes.
    """
    long_ago = time.time() - 100 * 3600
    for folder in video.versions_folder.iterdir():
        os.utime(folder, (long_ago, long_ago))
    ProcessingJob.objects.filter(state="done").update(
        finished_at=timezone.now() - timedelta(hours=100)
    )
    garbage.collect_garbage()
    assert os.listdir(video.versions_folder) == [video.current_version]


def test_kills_at_random_moments_lose_nothing_and_do_nothing_twice(upload, media):
    """kill -9 of the worker, from the moment it has the job to the moment after it is done."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"random seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    videos, longest = [], 1.5
    for _ in range(processes.KILLS):
        if not ProcessingJob.objects.open().exists():
            videos.append(upload())
        video = videos[-1]
        with worker() as process:
            wait_for(partial(taken_by, process, video))
            time.sleep(chance.uniform(0, longest))
            process.kill()
            process.wait()
            wait_for(lambda: not processes.tools(), seconds=10)  # it takes its tools with it

    done = processes.start("run_worker", "--until-idle")
    assert done.wait(120) == 0

    for video in videos:
        assert job_of(video).strikes == 0
        assert_ready_once(video)
        assert_one_version(video)
    # Each stage counts its own attempts, but the fence rises with every claim.
    assert sum(job_of(video).fence for video in videos) > 2 * len(videos)
    assert processes.tools() == []
    assert not any((media / "work").rglob("*.mp4"))


def test_a_killed_tool_is_a_strike_and_the_video_is_tried_again(upload):
    video = upload()
    with worker():
        for tool in wait_for(lambda: has_begun(video)):
            tool.kill()
        wait_for(lambda: job_of(video).strikes == 1)
        job = job_of(video)
        assert (job.state, job.error_code) == ("queued", "processing_failed")
        assert job.not_before > timezone.now()
        end_backoff()
        wait_for(lambda: status(video) == "READY")
    assert job_of(video).strikes == 1
    assert_ready_once(video)


def test_a_video_that_kills_its_own_process_fails_and_the_worker_lives(
    upload, clip, tmp_path, settings
):
    """The tool kills its parent process, as the kernel does on a machine without free memory."""
    settings.JOB_MAX_ATTEMPTS = 2
    poison = tmp_path / "ffprobe"
    poison.write_text("#!/bin/sh\nkill -9 $PPID\nsleep 5\n")
    poison.chmod(0o755)
    video = upload(clip)
    with worker(FFPROBE_PATH=str(poison), FFMPEG_SANDBOX="limits") as process:
        wait_for(lambda: end_backoff() and status(video) == "FAILED")
        assert process.poll() is None
    job = job_of(video)
    assert (job.state, job.attempt, job.strikes, job.error_code) == (
        "failed",
        2,
        2,
        "worker_killed",
    )
    assert AuditEntry.objects.filter(action="video.failed").count() == 1
    assert processes.tools() == []


def test_a_worker_that_slept_through_its_lease_cannot_publish(upload):
    video = upload()
    with worker() as sleeper:
        wait_for(lambda: has_begun(video))
        processes.signal_family(sleeper, signal.SIGSTOP)
        asleep = processes.tools()
        with worker() as heir:
            wait_for(lambda: job_of(video).worker.endswith(f"/{heir.pid}"))
            assert job_of(video).fence == 3  # the first rendition was made before
            wait_for(lambda: status(video) == "READY")
            live = Video.objects.get().current_version
            processes.signal_family(sleeper, signal.SIGCONT)
            # It finds out, ends its tools, and is a worker like any other again.
            wait_for(lambda: not any(processes.is_alive(tool) for tool in asleep))
            wait_for(lambda: not psutil.Process(sleeper.pid).children())
            assert sleeper.poll() is None

    assert Video.objects.get().current_version == live
    assert_one_version(Video.objects.get())
    assert_ready_once(video)
    assert (job_of(video).attempt, job_of(video).strikes) == (2, 0)


def test_a_worker_that_is_told_to_stop_gives_its_job_back(upload, media):
    video = upload()
    with worker() as process:
        wait_for(lambda: has_begun(video))
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        told_at = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - told_at < 8

    assert not any(processes.is_alive(member) for member in family)
    assert processes.tools() == []
    job = job_of(video)
    assert (job.state, job.attempt, job.strikes, job.lease_until) == ("queued", 0, 0, None)
    assert job.not_before <= timezone.now()
    assert list((media / "work").glob("*")) == []

    with worker():
        wait_for(lambda: status(video) == "READY")
    assert_ready_once(video)


def test_a_worker_keeps_its_lease_as_long_as_it_works(upload):
    video = upload()
    with worker() as process:
        wait_for(lambda: has_begun(video))
        first = job_of(video).lease_until
        assert first is not None
        wait_for(lambda: (job_of(video).lease_until or first) > first, seconds=10)
        assert job_of(video).worker.endswith(f"/{process.pid}")


def test_an_idle_worker_stops_at_once():
    with worker() as process:
        wait_for(lambda: "is ready" in processes.log())
        process.terminate()
        assert process.wait(5) == 0


def test_work_on_a_file_that_is_replaced_stops(upload, received, clip, creator):
    video = upload()
    with worker():
        wait_for(lambda: has_begun(video))
        sources.attach_source(video=video, received=received(clip), actor=creator)
        wait_for(lambda: status(video) == "READY")
    assert sorted(ProcessingJob.objects.values_list("state", flat=True)) == ["canceled", "done"]
    video.refresh_from_db()
    assert video.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert_ready_once(video)


def test_videos_wait_for_a_worker_and_none_is_forgotten(upload, clip, client_for, creator):
    videos = [upload(clip) for _ in range(3)]
    waiting = client_for(creator).get("/api/v1/videos/?ordering=created_at").json()["results"]
    assert [shown["processing"]["queue_position"] for shown in waiting] == [1, 2, 3]

    with worker(), worker():
        wait_for(lambda: {status(video) for video in videos} == {"READY"})

    for video in videos:
        assert_ready_once(video)
        assert job_of(video).attempt == 1


def test_a_first_rendition_is_made_beside_all_renditions_of_another_video(upload, clip):
    """One worker, and one encode that takes long: a new upload does not wait for its end."""
    long = upload()
    with worker(FFMPEG_PRESET="slow", FFMPEG_THREADS="1") as process:
        tools = wait_for(lambda: has_begun(long))
        assert job_of(long).stage == ProcessingJob.Stage.REST
        assert all(tool.nice() == NICENESS for tool in tools)
        new = upload(clip)
        wait_for(lambda: Video.objects.get(pk=new.pk).is_playable)
        assert status(long) == "PROCESSING"
        assert job_of(long).worker.endswith(f"/{process.pid}")
        assert job_of(new).state == "queued"  # its other renditions wait for their turn
        wait_for(lambda: status(new) == "READY")
    assert_ready_once(long)
    assert (job_of(long).attempt, job_of(long).strikes) == (1, 0)


def test_a_growing_version_survives_the_kill_of_its_worker(upload, tmp_path):
    """It is played until the next worker publishes another one."""
    path = tmp_path / "long.mkv"
    ffmpeg(*picture(seconds=90, size="640x360"), "-c:v", "mpeg4", path)
    video = upload(path)
    with worker(FFMPEG_PRESET="slow", FFMPEG_THREADS="1") as process:
        wait_for(lambda: Video.objects.get(pk=video.pk).is_playable)
        process.kill()
        process.wait()
        wait_for(lambda: not processes.tools(), seconds=10)
    left = Video.objects.get(pk=video.pk)
    assert (left.completeness, left.status) == ("growing", "PROCESSING")
    assert (left.version_folder / "240p" / "2.m4s").is_file()

    done = processes.start("run_worker", "--until-idle", FFMPEG_PRESET="ultrafast")
    assert done.wait(120) == 0

    assert_ready_once(video)
    assert "ENDLIST" in (left.version_folder / "240p.m3u8").read_text()
    assert_one_version(video)


def test_a_job_of_an_unknown_kind_fails_and_the_worker_lives(upload, clip):
    foreign, good = upload(clip), upload(clip)
    ProcessingJob.objects.filter(video=foreign).update(
        kind="conquer", source_path="../../../etc/passwd"
    )
    with worker() as process:
        wait_for(lambda: status(good) == "READY" and status(foreign) == "FAILED")
        assert process.poll() is None
    assert job_of(foreign).error_code == "unknown_job"
    assert_ready_once(good)


@pytest.fixture
def empty_database(tmp_path):
    """The URL of an SQLite file without tables."""
    return f"sqlite:///{tmp_path / 'empty.sqlite3'}"


def test_a_worker_waits_for_the_tables_and_says_so_once(empty_database):
    """Seen once: seven lines of errors each second."""
    with worker(DATABASE_URL=empty_database) as process:
        wait_for(lambda: "The worker waits until then." in processes.log())
        time.sleep(3)
        lines = processes.log().splitlines()
        assert len(lines) == 1, lines
        assert "`make run`, or `python manage.py migrate`, makes them." in lines[0]
        assert process.poll() is None

        migrate = processes.start("migrate", "-v", "0", DATABASE_URL=empty_database)
        assert migrate.wait(timeout=120) == 0
        wait_for(lambda: "is ready" in processes.log())
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert "Traceback" not in processes.log()


def test_a_worker_that_is_told_to_stop_does_so_while_it_waits(empty_database):
    with worker(DATABASE_URL=empty_database) as process:
        wait_for(lambda: "The worker waits until then." in processes.log())
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_until_idle_ends_with_the_command_to_run(empty_database):
    process = processes.start("run_worker", "--until-idle", DATABASE_URL=empty_database)

    assert process.wait(timeout=60) == 1
    assert processes.log().splitlines()[-1].startswith("CommandError: The database does not have")


def test_a_worker_gives_signs_of_life():
    with worker() as process:
        wait_for(lambda: WorkerPresence.objects.alive().exists())
        assert WorkerPresence.objects.get().name.endswith(f"/{process.pid}")
