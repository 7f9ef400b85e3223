"""One video on several workers, as real processes: shared, killed, canceled."""

import contextlib
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from audit.models import AuditEntry
from config.tests import cases
from videos.models import Chunk, ProcessingJob, Video
from videos.services import catalogue, sources
from videos.tests import processes, shared
from videos.tests.media import ffmpeg, frame_count, h264, picture, tone
from videos.tests.processes import worker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media"),
    pytest.mark.long,
]
SETTINGS = {"CHUNKS_FROM_SECONDS": "3", "CHUNK_SECONDS": "2", "FFMPEG_THREADS": "1"}
SLOW = {**SETTINGS, "FFMPEG_PRESET": "slow"}
SECONDS = 10
# These encodes are slow on purpose, and several run at once in the suite.
wait_for = partial(processes.wait_for, seconds=180)


@pytest.fixture(scope="session")
def long_clip():
    """A video of five chunks and sound."""
    return shared.clip("chunks.mp4", make_long_clip)


def make_long_clip(path: Path) -> None:
    shown, heard = picture(seconds=SECONDS, size="480x270"), tone(seconds=SECONDS)
    ffmpeg(*shown, *heard, *h264("-g", "25", "-bf", "2"), "-c:a", "aac", path)


@pytest.fixture
def upload(creator, received, long_clip):
    def add(path=long_clip) -> Video:
        video = catalogue.create_video(creator=creator, title="A video")
        return sources.attach_source(video=video, received=received(path), actor=creator)

    return add


def status(video) -> str:
    return Video.objects.values_list("status", flat=True).get(pk=video.pk)


def done() -> set[tuple]:
    """Return the chunks that are done, and when each was."""
    rows = Chunk.objects.filter(state="done", frames__gt=0)
    return set(rows.values_list("number", "fence", "finished_at"))


def makers() -> set[str]:
    return set(Chunk.objects.taken().values_list("worker", flat=True))


def job() -> ProcessingJob:
    return ProcessingJob.objects.order_by("-created_at")[0]


def assert_ready_once(video) -> None:
    video.refresh_from_db()
    assert video.status == "READY"
    entries = AuditEntry.objects.filter(target_id=str(video.pk), action="video.ready")
    assert [entry.data["version"] for entry in entries] == [video.current_version]
    for rendition in video.renditions:
        assert frame_count(video.version_folder / f"{rendition['name']}.m3u8") == SECONDS * 25


@contextlib.contextmanager
def two_workers(one=SLOW, other=SLOW):
    """Run two workers, both ready when the block begins: one could end the work before the other is."""
    with worker(**one) as first, worker(**other) as second:
        wait_for(lambda: processes.log().count("is ready. FFmpeg") == 2)
        yield first, second


def left_over(media: Path) -> list[str]:
    return [str(path) for path in (media / "work").glob("*")]


def test_two_workers_share_one_video(upload, media):
    with two_workers():
        video = upload()
        wait_for(lambda: len(makers()) == 2)
        shown = job().percent
        wait_for(lambda: status(video) == "READY" and not left_over(media))
    assert_ready_once(video)
    assert shown < 100
    assert (job().attempt, job().strikes) == (1, 0)
    assert "helping with its chunks" in processes.log()
    assert not Chunk.objects.exists()


def test_the_chunks_of_a_killed_worker_are_used_again(upload, media):
    video = upload()
    with worker(**SLOW) as process:
        wait_for(lambda: len(done()) >= 2)
        process.kill()
        process.wait()
        wait_for(lambda: not processes.tools(), seconds=10)
    before = done()
    with worker(**SETTINGS, FFMPEG_PRESET="slow"):
        wait_for(lambda: len(done()) > len(before) or status(video) == "READY")
        assert before <= done() or status(video) == "READY"
        wait_for(lambda: status(video) == "READY" and not left_over(media))
    assert_ready_once(video)
    assert (job().attempt, job().strikes) == (2, 0)


@pytest.mark.thorough
def test_a_helper_that_is_killed_loses_only_its_chunk(upload, media):
    with two_workers() as (owner, other):
        video = upload()
        wait_for(lambda: len(makers()) == 2)
        helper = other if job().worker.endswith(f"/{owner.pid}") else owner
        helper.kill()
        helper.wait()
        wait_for(lambda: status(video) == "READY" and not left_over(media))
    assert_ready_once(video)
    assert (job().attempt, job().strikes) == (1, 0)


@pytest.mark.thorough
def test_kills_at_random_moments_end_in_one_version(upload, media):
    seed = random.SystemRandom().randrange(2**32)
    print(f"random seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    video = upload()
    for _ in range(max(2, processes.KILLS // 2)):
        with worker(**SLOW) as one, worker(**SLOW) as other:  # both are killed at the end
            wait_for(lambda: makers() or status(video) == "READY")
            time.sleep(chance.uniform(0, 2))
            victim = chance.choice([one, other])
            victim.kill()
            victim.wait()
            time.sleep(chance.uniform(0, 2))
        wait_for(lambda: not processes.tools(), seconds=10)

    end = processes.start("run_worker", "--until-idle", **SLOW)
    assert end.wait(120) == 0

    assert_ready_once(video)
    assert job().strikes == 0
    assert left_over(media) == []
    assert not Chunk.objects.exists()


def test_a_helper_that_slept_through_its_lease_ends_nothing(upload, media):
    with two_workers() as (owner, other):
        video = upload()
        wait_for(lambda: len(makers()) == 2)
        sleeper = other if job().worker.endswith(f"/{owner.pid}") else owner
        processes.signal_family(sleeper, signal.SIGSTOP)
        wait_for(lambda: status(video) == "READY")
        live = Video.objects.get().current_version
        processes.signal_family(sleeper, signal.SIGCONT)
        wait_for(lambda: not psutil.Process(sleeper.pid).children())
        wait_for(lambda: not processes.tools() and not left_over(media))
        assert sleeper.poll() is None
    assert Video.objects.get().current_version == live
    assert_ready_once(video)


# That workers end what is replaced is tried by test_worker_process.py, too.
@pytest.mark.parametrize("how", cases.chosen(["delete", "replace"], "delete"))
def test_nothing_is_left_of_a_job_that_is_canceled(how, upload, media, creator, received, clip):
    with two_workers():
        video = upload()
        wait_for(lambda: len(makers()) == 2 and done())
        canceled = job()
        if how == "delete":
            catalogue.delete_video(video=video, actor=creator)
        else:
            sources.attach_source(video=video, received=received(clip), actor=creator)
        assert not Chunk.objects.filter(job=canceled).exists()
        wait_for(lambda: not os.path.exists(canceled.work_folder.parent))
        if how == "replace":
            wait_for(lambda: status(video) == "READY")
            assert Video.objects.get(pk=video.pk).duration_seconds == pytest.approx(2, abs=0.1)
        wait_for(lambda: not processes.tools() and not left_over(media))


def test_a_worker_with_other_settings_does_not_help(upload):
    with two_workers(other={**SETTINGS, "FFMPEG_PRESET": "medium"}):
        video = upload()
        wait_for(lambda: "cannot help" in processes.log())
        assert len(makers()) <= 1
        wait_for(lambda: status(video) == "READY")
    assert_ready_once(video)
    assert processes.log().count("cannot help") == 1


def test_a_first_rendition_goes_before_chunks(upload, clip):
    with two_workers():
        long = upload()
        wait_for(lambda: len(makers()) == 2)
        new = upload(clip)
        wait_for(lambda: Video.objects.get(pk=new.pk).is_playable)
        assert status(long) == "PROCESSING"
        wait_for(lambda: status(long) == "READY")
    assert_ready_once(long)
