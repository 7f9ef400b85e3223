"""The names of worker processes, their signs of life, and the release of what dead ones held."""

import os
import socket
from datetime import timedelta

from django.db.models.functions import Now

from config import ordered
from videos import jobs
from videos.models import Chunk, ProcessingJob, WorkerPresence

FORGET_WORKERS = timedelta(days=7)


def worker_name(process: int | None = None) -> str:
    """Return the name of a process in the queue: "<host>/<process namespace>/<process id>".

    Without a process id, it is the name of this process.
    Outside of Linux the namespace is empty.
    """
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{namespace}/{process or os.getpid()}"[:120]


def announce(worker: str) -> None:
    """Write that a worker is alive. Safe to repeat, as its row may be gone."""
    if not WorkerPresence.objects.filter(name=worker).update(seen_at=Now()):
        WorkerPresence.objects.get_or_create(
            name=worker, defaults={"started_at": Now(), "seen_at": Now()}
        )


def forget_workers() -> int:
    """Delete the rows of workers that were not seen for FORGET_WORKERS. Return their number."""
    return ordered.delete(WorkerPresence.objects.filter(seen_at__lt=Now() - FORGET_WORKERS))


def release_of_dead_workers() -> int:
    """End the leases of jobs and chunks of dead worker processes, so that they are due at once.

    Returns the number of these jobs and chunks. Checks only workers of this host and process namespace,
    because a process id has no meaning in another one. Does nothing outside of Linux.
    """
    mine = worker_name().rsplit("/", 1)[0] + "/"
    if mine.endswith("//"):  # no namespace
        return 0
    released = 0
    running = ProcessingJob.objects.filter(
        state=ProcessingJob.State.RUNNING, worker__startswith=mine
    )
    for job in running:
        if not _is_alive(job.worker):
            released += ProcessingJob.objects.held(job).update(lease_until=Now() - jobs.lease())
    for chunk in Chunk.objects.taken().filter(worker__startswith=mine):
        if not _is_alive(chunk.worker):
            released += Chunk.objects.held(chunk).update(due_at=Now(), worker="")
    return released


def _is_alive(worker: str) -> bool:
    """Return whether a worker of this host and process namespace is alive."""
    try:
        os.kill(int(worker.rsplit("/", 1)[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is alive and belongs to another user
        return True
    return True
