"""The engine with Celery: wake-ups go through a broker to workers on any number of hosts."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from celery import Celery
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from config import ordered
from config.celery import app
from videos.engines.queues import LOST_AFTER, QUEUE_OF, TRANSCODE
from videos.models import Chunk, ProcessingJob

logger = logging.getLogger(__name__)

MOST_WAITING = 50  # messages of one queue that the sweeper adds up to
MOST_HELPERS = 8  # of them, for chunks
PROBE_SECONDS = 1.0
PAUSE_SECONDS = 5.0  # after a failure nothing is sent for so long: each try may take a time-out


class CeleryEngine:
    """Sends a message for each job that waits; the table decides what comes of it."""

    _silent_until = 0.0  # of all threads of the process

    def wake(self, job_id: UUID, stage: int) -> None:
        """Send a message on commit. It fails within seconds, and is then left to the sweeper."""
        transaction.on_commit(partial(self._wake_now, job_id, stage), robust=True)

    def wake_again(self) -> int:
        """Send messages for due jobs of which no worker was told for LOST_AFTER, and for due chunks.

        Not more than a queue has room for: where messages wait, the workers are busy, and none is lost.
        """
        lost: dict[str, list[UUID | None]] = {}
        unsent = Q(dispatched_at=None) | Q(dispatched_at__lt=Now() - LOST_AFTER)
        due = ProcessingJob.objects.due().filter(unsent).order_by("stage", "created_at")
        for job_id, stage in due.values_list("pk", "stage")[: 4 * MOST_WAITING]:
            lost.setdefault(QUEUE_OF[stage], []).append(job_id)
        helpers = Chunk.objects.due().count()
        if helpers:
            lost.setdefault(TRANSCODE, []).extend([None] * min(helpers, MOST_HELPERS))
        if not lost or time.monotonic() < self._silent_until:
            return 0
        sent = 0
        with self._unless_away() as celery, celery.connection_for_write() as connection:
            for queue, ids in lost.items():
                room = max(0, MOST_WAITING - waiting(connection, queue))
                for told_of in ids[:room]:
                    _send(celery, connection, told_of, queue)
                    sent += 1
                told = [each for each in ids[:room] if each]
                due_now = ProcessingJob.objects.due().filter(pk__in=told)
                ordered.update(due_now, dispatched_at=Now())
        return sent

    def fault(self) -> str:
        """Return why the broker cannot be used, or an empty string. Takes about a second at most."""
        quick = {"socket_timeout": PROBE_SECONDS, "socket_connect_timeout": PROBE_SECONDS}
        try:
            with app.connection_for_write(
                connect_timeout=PROBE_SECONDS, transport_options=quick
            ) as connection:
                waiting(connection, TRANSCODE)
        except Exception as fault:  # noqa: BLE001 - each transport raises errors of its own
            return type(fault).__name__
        return ""

    def _wake_now(self, job_id: UUID, stage: int) -> None:
        if time.monotonic() < self._silent_until:
            return
        with self._unless_away() as celery, celery.connection_for_write() as connection:
            _send(celery, connection, job_id, QUEUE_OF[stage])

    @contextmanager
    def _unless_away(self) -> Iterator[Celery]:
        """Log that the broker is away, instead of an exception, and then be silent for a while."""
        try:
            yield app
        except Exception as fault:  # noqa: BLE001 - each transport raises errors of its own
            type(self)._silent_until = time.monotonic() + PAUSE_SECONDS
            logger.warning(
                "The broker is away (%s), so that no worker is told of jobs. They are sent again.",
                type(fault).__name__,
            )


def waiting(connection: Any, queue: str) -> int:
    """Return how many messages wait in a queue for a worker. Raises what the transport raises."""
    declared = app.amqp.queues[queue]
    answer = connection.default_channel.queue_declare(
        queue=queue, durable=True, auto_delete=False, arguments=declared.queue_arguments
    )
    return int(answer.message_count)


def _send(celery: Celery, connection: Any, job_id: UUID | None, queue: str) -> None:
    with celery.amqp.Producer(connection) as producer:
        celery.send_task("run_job", (job_id and str(job_id), queue), queue=queue, producer=producer)
