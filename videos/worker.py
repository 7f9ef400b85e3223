"""The worker: takes due jobs from the queue, one at a time, and does the periodic work.

While it makes all renditions of a video, which may take hours, it also makes the first rendition of
another video that waits: one beside the other, and with priority. When no job is due, it makes chunks
of the jobs of other workers.

Each job runs in a child process. The worker itself only keeps the lease and waits, so a video cannot
crash it. It therefore knows whether a job has killed its own process, which is a strike, or whether
the worker was killed, which is not.
"""

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Collection
from datetime import timedelta
from multiprocessing.context import ForkProcess
from types import FrameType
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from config import database, log_context, tracing
from videos import admission, chunks, jobs, periodic, presence, storage
from videos.errors import LeaseLost
from videos.models import ProcessingJob
from videos.processing import cage
from videos.services import chunking, publishing

logger = logging.getLogger(__name__)

_FORK = multiprocessing.get_context("fork")
_PR_SET_PDEATHSIG = 1
STOP_GRACE_SECONDS = 5
ANNOUNCE_SECONDS = 10.0  # between two signs of life (videos.models.WorkerPresence)
CHECK_SECONDS = 0.5  # between two looks whether the job was canceled
# A child whose job is no longer its own has so long to notice, clean up and end. It may have ended the
# job itself a moment ago, and terminated in its cleaning up it would leave files.
FAREWELL_SECONDS = 5.0
# Of the processes that make all renditions: first renditions, and the web server, go before.
NICENESS = 10
DATABASE_AWAY = 3  # exit code of a child that could not write its result to the database
ALL_STAGES = tuple(ProcessingJob.Stage)
# Error code and text for the creator.
WORKER_KILLED = (
    "worker_killed",
    "The process that worked on the video was killed. If the video is FAILED, retry it later.",
)


class NotMigrated(Exception):
    """The database does not have the tables of this version."""


class Worker:
    """One worker process."""

    def __init__(self) -> None:
        self.name = presence.worker_name()
        self._is_told_to_stop = False
        self._jobs: list[ProcessingJob] = []  # that are carried out: one, or two
        self._refusal = ""  # why this machine has no room for another encode
        self._declined: set[UUID] = set()  # jobs with whose chunks this worker could not help
        self._last = dict.fromkeys(periodic.SECONDS, float("-inf"))
        self._announced_at = float("-inf")

    @property
    def stopping(self) -> bool:
        """Whether the worker is told to stop."""
        return self._is_told_to_stop

    def run(self, *, until_idle: bool = False) -> None:
        """Claim and carry out jobs until SIGTERM or SIGINT, or with ``until_idle`` until none is due.

        Survives a database that is not reachable, and waits for one that is not migrated: it tries
        again every WORKER_POLL_SECONDS. With ``until_idle`` it raises NotMigrated instead.
        """
        self._listen()
        if until_idle and database.pending_migrations():
            raise NotMigrated
        if not self._await_tables():
            return
        storage.adopt()
        logger.info("Worker %s is ready. FFmpeg's cage: %s.", self.name, cage.describe().detail)
        while not self.stopping:
            worked = False
            try:
                self.tick()
                worked = self.do_one()
                if until_idle and not worked:
                    return
            except DatabaseError as error:
                # Unreachable or busy. Jobs and leases are in the table, so nothing is lost.
                if database.unavailability(error) == database.UNMIGRATED:
                    self._await_tables()
                    continue
                logger.warning("The database is not reachable; trying again.", exc_info=True)
                connections.close_all()
            if not worked:
                self._sleep(settings.WORKER_POLL_SECONDS)
        logger.info("Worker %s has stopped.", self.name)

    def run_one(self) -> bool:
        """Carry out one due job, at its present stage, and return whether there was one.

        Does no periodic work, and gives the job back at SIGTERM or SIGINT (``stopping`` tells). Raises
        NotMigrated, and DatabaseError when the database is away.
        """
        self._listen()
        if database.pending_migrations():
            raise NotMigrated
        storage.adopt()
        self.announce()
        return not self.stopping and self.do_one(helps=False)

    def do_one(
        self, stages: Collection[ProcessingJob.Stage] = ALL_STAGES, *, helps: bool = True
    ) -> bool:
        """Carry out one due job, or else make chunks of another worker's job if this one ``helps``.

        Return False if nothing was due, or only what this machine has no room for (``admission``).
        """
        refusal = admission.refusal(self.name)
        if refusal != self._refusal:
            self._refusal = refusal
            if refusal:
                logger.warning("Encodes of all renditions wait: %s.", refusal)
        job = jobs.claim_next(self.name, stages=admission.light(stages) if refusal else stages)
        if job is None and refusal:
            job = jobs.claim_next(self.name, stages=stages, due_for=admission.PATIENCE)
        if job is not None:
            self.work_on(job)
            return True
        if helps and not refusal and (helped := chunks.job_to_help(self._declined)):
            self.help_with(helped)
            return True
        return False

    def work_on(self, job: ProcessingJob) -> None:
        """Carry out one claimed job in a child process, and keep its lease meanwhile.

        The child is ended if the lease is lost or the worker is told to stop.
        """
        with log_context.about_job(job.pk, job.video_id):
            logger.info("Video %s: attempt %d.", job.video_id, job.attempt)
            self._work_on(job)

    def _work_on(self, job: ProcessingJob) -> None:
        connections.close_all()  # a connection must not be shared with the child
        child = _FORK.Process(target=_run_job, args=(job, os.getpid()), daemon=False)
        child.start()
        self._jobs.append(job)
        try:
            self._watch(child, job)
        finally:
            self._jobs.remove(job)
            if child.exitcode is None:
                _end(child)
        if job.stage != ProcessingJob.Stage.FIRST:
            chunks.release(self.name)  # normally there are none
        # The child normally writes the job's end itself; then these calls change nothing.
        if self.stopping:
            jobs.give_back(job)
        elif child.exitcode == DATABASE_AWAY:
            jobs.give_back(job, wait=jobs.BACKOFF)
        else:
            if child.exitcode != 0:
                logger.warning(
                    "Video %s: the process of its job ended with %s.", job.video_id, child.exitcode
                )
            with contextlib.suppress(LeaseLost):
                jobs.strike(job, *WORKER_KILLED)
        child.close()

    def help_with(self, job: ProcessingJob) -> None:
        """Make chunks of another worker's job in a child process, and keep their leases meanwhile."""
        logger.info("Video %s: helping with its chunks.", job.video_id)
        connections.close_all()  # a connection must not be shared with the child
        child = _FORK.Process(target=_run_help, args=(job, self.name, os.getpid()), daemon=False)
        child.start()
        try:
            self._watch(child, job)
        finally:
            if child.exitcode is None:
                _end(child)
        chunks.release(self.name)
        if child.exitcode != 0 and not self.stopping:
            self._declined.add(job.pk)
        child.close()

    def _watch(self, child: ForkProcess, job: ProcessingJob) -> None:
        """Keep the leases until the child has ended, or the worker shall stop.

        Returns FAREWELL_SECONDS after the job was lost, too.
        A first rendition that waits meanwhile is made beside all renditions of another video.
        """
        kept_at = checked_at = time.monotonic()
        lost_at = None
        while child.exitcode is None and not self.stopping:
            child.join(timeout=0.2)
            now = time.monotonic()
            prolongs = now - kept_at >= settings.JOB_LEASE_SECONDS / 3
            if prolongs or now - checked_at >= CHECK_SECONDS:
                checked_at = now
                kept_at = now if prolongs else kept_at
                try:
                    held = [
                        jobs.keep(each) if prolongs else jobs.is_held(each) for each in self._jobs
                    ]
                    if prolongs:
                        chunks.keep(self.name)
                    if job in self._jobs and not held[-1]:
                        lost_at = now if lost_at is None else lost_at
                        if now - lost_at >= FAREWELL_SECONDS:
                            logger.warning("Video %s: its job is no longer ours.", job.video_id)
                            return
                    elif job.stage != ProcessingJob.Stage.FIRST and (
                        first := self._waiting_first()
                    ):
                        self.work_on(first)
                except DatabaseError:
                    logger.warning(
                        "Video %s: the lease of its job could not be prolonged.",
                        job.video_id,
                        exc_info=True,
                    )
                    connections.close_all()
            self.tick()

    def _waiting_first(self) -> ProcessingJob | None:
        """Claim a job that needs its first rendition and that no idle worker has taken."""
        return jobs.claim_next(
            self.name,
            due_for=timedelta(seconds=settings.WORKER_POLL_SECONDS),
            stages=[ProcessingJob.Stage.FIRST],
        )

    def tick(self) -> None:
        """Do the periodic work that is due (``periodic.run``), and give a sign of life."""
        now = time.monotonic()
        for every, seconds in periodic.SECONDS.items():
            if now - self._last[every] >= seconds:
                self._last[every] = now
                if every == "second":
                    self.announce()
                periodic.run(every)

    def announce(self) -> None:
        """Give a sign of life, every ANNOUNCE_SECONDS. Logs its failure."""
        now = time.monotonic()
        if now - self._announced_at < ANNOUNCE_SECONDS:
            return
        try:
            presence.announce(self.name)
        except DatabaseError:
            logger.exception("The worker could not give a sign of life.")
            connections.close_all()
        else:
            self._announced_at = now

    def _await_tables(self) -> bool:
        """Wait until the database has the tables of this version. Say once that they are missing.

        Return False if the worker is told to stop before.
        """
        said = False
        while not self.stopping:
            try:
                if not database.pending_migrations():
                    return True
                reason = database.UNMIGRATED
            except DatabaseError as error:
                reason = database.explanation(error) or str(error)
                connections.close_all()
            if not said:
                said = True
                logger.warning("%s The worker waits until then.", reason)
            self._sleep(settings.WORKER_POLL_SECONDS)
        return False

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_told_to_stop = True

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.05)


def may_fork() -> None:
    """Let this process have children, although it is a child of a pool that forbids it (Celery's)."""
    multiprocessing.current_process().daemon = False


def _run_job(job: ProcessingJob, parent: int) -> None:
    """Carry out one job as the child process.

    Exit code 0 means that the job's row has the result, DATABASE_AWAY that it could not be written.
    """
    _prepare_child(parent, nice=job.stage != ProcessingJob.Stage.FIRST)
    log_context.set_job_of_process(job.pk, job.video_id)
    try:
        publishing.process(job)
    except LeaseLost:
        logger.warning("Video %s: this attempt no longer owns the job.", job.video_id)
    except (OperationalError, InterfaceError):
        logger.warning("Video %s: the database is not reachable.", job.video_id, exc_info=True)
        sys.exit(DATABASE_AWAY)
    finally:
        tracing.flush()


def _run_help(job: ProcessingJob, worker: str, parent: int) -> None:
    """Make chunks of a job as the child process of a helper. Exit code 0 means that it could help."""
    _prepare_child(parent, nice=True)
    log_context.set_job_of_process(job.pk, job.video_id)
    try:
        chunking.help_with(job, worker)
    except LeaseLost:
        logger.info("Video %s: its chunk is no longer ours.", job.video_id)
    except chunking.CannotHelp:
        logger.warning(
            "Video %s: this worker cannot help. It has other settings, tools or software than the "
            "worker of the job.",
            job.video_id,
        )
        sys.exit(1)
    except (OperationalError, InterfaceError):
        logger.warning("Video %s: the database is not reachable.", job.video_id, exc_info=True)
    except Exception:
        logger.exception("Video %s: its chunk could not be made here.", job.video_id)
        sys.exit(1)


def _prepare_child(parent: int, *, nice: bool) -> None:
    _die_with(parent)
    if nice:
        os.nice(NICENESS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))


def _die_with(parent: int) -> None:
    """Ask the Linux kernel to kill this process when the worker dies (prctl, PR_SET_PDEATHSIG).

    On other systems it may outlive the worker; the fence keeps it from publishing then.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the worker died before the call
            os._exit(1)


def _end(child: ForkProcess) -> None:
    """Terminate the child, and kill it if it still runs after STOP_GRACE_SECONDS."""
    child.terminate()
    child.join(timeout=STOP_GRACE_SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
