"""The embedded worker: takes due jobs from the table, one at a time, until it is told to stop.

Each job runs in a child process of its own. The parent keeps the lease and does nothing that a video
could break; so a job that kills its process is told from a worker that was killed, and gets a strike.
"""

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from audit import services as audit
from videos import jobs
from videos.errors import LeaseLost
from videos.models import ProcessingJob
from videos.processing import cage
from videos.services import garbage, publishing
from videos.signals import worker_tick

logger = logging.getLogger(__name__)

_FORK = multiprocessing.get_context("fork")
_PR_SET_PDEATHSIG = 1
STOP_GRACE_SECONDS = 5
DATABASE_AWAY = 3  # what the child ends with when it could not write what became of the job
TICKS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
OWN_PARTS = {
    "second": (jobs.release_of_dead_workers, audit.seal),
    "hour": (garbage.collect_garbage,),
}


class Worker:
    def __init__(self):
        self.name = jobs.worker_name()
        self.stopping = False
        self._last = dict.fromkeys(TICKS, float("-inf"))

    def run(self, *, until_idle: bool = False) -> None:
        """Work until SIGTERM or SIGINT; with ``until_idle`` until no job is due."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        found = cage.describe()
        logger.info("Worker %s is ready. FFmpeg's cage: %s.", self.name, found.detail)
        while not self.stopping:
            try:
                self.tick()
                job = jobs.claim_next(self.name)
                if job is not None:
                    self.work_on(job)
                elif until_idle:
                    return
            except DatabaseError:
                # Away or busy: the leases and the table survive it, and so does the worker.
                logger.warning("The database is away; trying again.", exc_info=True)
                connections.close_all()
                job = None
            if job is None:
                self._sleep(settings.WORKER_POLL_SECONDS)
        logger.info("Worker %s has stopped.", self.name)

    def work_on(self, job: ProcessingJob) -> None:
        """Run one claimed job in a child, keeping its lease; stop the child when it is lost."""
        logger.info("Video %s: attempt %d.", job.video_id, job.attempt)
        connections.close_all()  # a connection must not be shared with the child
        child = _FORK.Process(target=_run_job, args=(job, os.getpid()), daemon=False)
        child.start()
        try:
            self._watch(child, job)
        finally:
            if child.exitcode is None:
                _end(child)
        # Nothing of this changes a job whose row says already what became of it.
        if self.stopping:
            jobs.give_back(job)
        elif child.exitcode == DATABASE_AWAY:
            jobs.give_back(job, wait=jobs.BACKOFF)
        else:
            if child.exitcode != 0:
                logger.warning("Video %s: its process died (%s).", job.video_id, child.exitcode)
            with contextlib.suppress(LeaseLost):
                jobs.strike(
                    job, "worker_killed", "The process that worked on the video was killed."
                )
        child.close()

    def _watch(self, child, job: ProcessingJob) -> None:
        """Keep the lease until the child has ended, the job is lost, or the worker is to stop."""
        kept_at = time.monotonic()
        while child.exitcode is None and not self.stopping:
            child.join(timeout=0.2)
            if time.monotonic() - kept_at >= settings.JOB_LEASE_SECONDS / 3:
                kept_at = time.monotonic()
                try:
                    if not jobs.keep(job):
                        logger.warning("Video %s: the job is no longer ours.", job.video_id)
                        return
                except DatabaseError:
                    logger.warning("The lease of %s could not be prolonged.", job.pk, exc_info=True)
                    connections.close_all()
            self.tick()

    def tick(self) -> None:
        """Periodic work; every part is safe to run in any number of workers at once.

        A part that fails is tried again the next time, and stops neither the others nor the worker.
        """
        now = time.monotonic()
        for every, seconds in TICKS.items():
            if now - self._last[every] >= seconds:
                self._last[every] = now
                for part in OWN_PARTS.get(every, ()):
                    try:
                        part()
                    except Exception:
                        logger.exception("%s failed", part.__qualname__)
                        connections.close_all()
                worker_tick.send_robust(sender=Worker, every=every)  # logs what fails

    def _stop(self, number, frame) -> None:
        self.stopping = True

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.05)


def _run_job(job: ProcessingJob, parent: int) -> None:
    """The child: ends with 0 when the job's row says what became of it."""
    _die_with(parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        publishing.process(job)
    except LeaseLost:
        logger.warning("Video %s: this attempt came too late.", job.video_id)
    except (OperationalError, InterfaceError):
        logger.warning("Video %s: the database is away.", job.video_id, exc_info=True)
        sys.exit(DATABASE_AWAY)


def _die_with(parent: int) -> None:
    """On Linux the kernel kills this process when the worker dies; elsewhere the fence has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _end(child) -> None:
    child.terminate()
    child.join(timeout=STOP_GRACE_SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
