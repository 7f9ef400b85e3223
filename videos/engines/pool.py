"""A process of Celery's pool as a worker: what it does for a wake-up, and how it learns to stop."""

import logging
import mmap
import os
import signal
import threading
import time
from functools import cache
from typing import Any

from celery import signals
from django.db import DatabaseError, connections

from videos import presence, storage
from videos.engines.queues import STAGES_OF, TRANSCODE
from videos.worker import ANNOUNCE_SECONDS, Worker, may_fork

logger = logging.getLogger(__name__)

STOP_SECONDS = 20.0  # from SIGTERM until work that has not stopped by itself is ended

# One byte that the pool's processes share with their parent: Celery tells them nothing of its shutdown.
_told = mmap.mmap(-1, 1)
_consumer: list[Any] = []  # that of the parent, which knows the pool
_announced_at = [float("-inf")]


class PoolWorker(Worker):
    """A worker that does one piece of work when it is told to, and no periodic work."""

    @property
    def stopping(self) -> bool:
        return _told[0] == 1

    def tick(self) -> None:
        """Give a sign of life. Beat sends the periodic work."""
        self.announce()

    def wake_up(self, queue: str) -> None:
        """Carry out one due job at a stage of the queue, or make chunks. Do nothing if none is due."""
        if not self.stopping:
            self.do_one(STAGES_OF[queue], helps=queue == TRANSCODE)


@cache
def worker_of(process: int) -> PoolWorker:
    """Return the worker of this process, whose id is asked for because a fork inherits all objects."""
    may_fork()
    storage.adopt()
    return PoolWorker()


def worker() -> PoolWorker:
    return worker_of(os.getpid())


@signals.worker_ready.connect
def _know_pool(sender: Any, **_: Any) -> None:
    _consumer[:] = [sender]


@signals.heartbeat_sent.connect
def _announce_pool(**_: Any) -> None:
    """Give a sign of life of each process of the pool, busy or not, every ANNOUNCE_SECONDS."""
    now = time.monotonic()
    if not _consumer or now - _announced_at[0] < ANNOUNCE_SECONDS:
        return
    _announced_at[0] = now
    try:
        for process in _consumer[0].pool.info["processes"]:
            presence.announce(presence.worker_name(process))
    except DatabaseError:
        logger.warning("The pool could not give a sign of life.", exc_info=True)
    finally:
        connections.close_all()  # this process forks


@signals.worker_shutting_down.connect
def _tell_pool(**_: Any) -> None:
    """Let the processes stop their work and give it back, and end those that go on."""
    _told[0] = 1
    end = threading.Timer(STOP_SECONDS, os.kill, (os.getpid(), signal.SIGQUIT))
    end.daemon = True
    end.start()
