"""The scheduler of Celery's beat: any number of beats run, and each period is sent by one of them."""

import logging
from typing import Any

from celery.beat import Scheduler
from django.db import DatabaseError, close_old_connections, connections

from videos import periodic
from videos.engines import periods
from videos.engines.celery import waiting

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
MOST_WAITING = 4  # messages about periods; with more, the workers are behind or away


class TableScheduler(Scheduler):
    """Sends the periodic work by the table of periods, in place of a file of its own.

    A beat that dies takes nothing with it: another one sends the next period. While the broker is
    away, periods stay due.
    """

    def setup_schedule(self) -> None:
        """Have no entries: what is sent stands in ``periodic.SECONDS``."""

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due, and return the seconds until the next look."""
        try:
            close_old_connections()
            if periods.are_due():
                self._send_due()
        except DatabaseError:
            logger.warning("The database is not reachable; trying again.")
            connections.close_all()
        except Exception as fault:  # noqa: BLE001 - each transport raises errors of its own
            logger.warning("The broker is not reachable (%s); trying again.", type(fault).__name__)
        return TICK_SECONDS

    def _send_due(self) -> None:
        with self.app.connection_for_write() as connection:
            if waiting(connection, "periodic") >= MOST_WAITING:
                return
            with self.app.amqp.Producer(connection) as producer:
                for every in filter(periods.take, periodic.SECONDS):
                    self.app.send_task(
                        "run_periodic", (every,), queue="periodic", producer=producer
                    )
                    periods.note_sent(every)
