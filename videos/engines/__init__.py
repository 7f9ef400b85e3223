"""The engines of the queue: how workers learn that a job waits, and who does the periodic work.

Whatever the engine, the table ProcessingJob is the queue: a job is claimed there, keeps its lease there
and ends there (`docs/adr/0023-the-table-stays-the-queue.md`). An engine only carries wake-ups, which may
get lost, come twice or come late.
"""

from functools import cache
from typing import Protocol
from uuid import UUID

from django.conf import settings

from videos.engines.database import DatabaseEngine


class Engine(Protocol):
    """What carries wake-ups to workers."""

    def wake(self, job_id: UUID, stage: int) -> None:
        """Tell the workers, as soon as the present transaction is committed, that a job waits.

        Never raises, and never waits long: a wake-up that is lost is sent again by ``wake_again``.
        """

    def wake_again(self) -> int:
        """Tell the workers of what is due and was not taken for a while. Return the number of wake-ups.

        Safe to call in any number of processes.
        """

    def fault(self) -> str:
        """Return why no wake-up can be sent now, in a few words, or an empty string."""


@cache
def _named(name: str) -> Engine:
    if name == "celery":
        from videos.engines.celery import CeleryEngine  # imported late: Celery is optional

        return CeleryEngine()
    return DatabaseEngine()


def current() -> Engine:
    """Return the engine of this installation (QUEUE_ENGINE)."""
    return _named(settings.QUEUE_ENGINE)
