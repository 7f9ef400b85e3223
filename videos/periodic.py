"""The periodic work: what is done each second, minute and hour, by whichever process the engine chooses.

An embedded worker runs it between its jobs. With Celery, beat sends each period to one worker.
"""

import logging

from django.db import DatabaseError, connections

from accounts import erasing, links
from accounts.forgetting import (
    forget_admin_sessions,
    forget_old_codes,
    forget_old_keys,
    forget_old_links,
    forget_old_setups,
    forget_old_sign_ins,
)
from audit import checkpoints, partitions, pruning, sealing
from audit.forgetting import forget_old_requests
from config import database
from videos import engines, presence
from videos.moderation import waiting
from videos.presentation import refreshing
from videos.services import completing, direct, garbage, purging
from videos.signals import worker_tick

logger = logging.getLogger(__name__)

SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
WRONG_SECONDS = 60.0  # by which a clock differs from the database's that nothing may be ended by


def _wake_again() -> None:
    engines.current().wake_again()


# The periodic work of this app and of those below it. Apps above this one connect to worker_tick.
OWN_PARTS = {
    "second": (
        presence.release_of_dead_workers,
        _wake_again,
        sealing.seal_in_worker,
        links.prepare_due,  # before the worker_tick that sends the mails
    ),
    "minute": (erasing.go_on, forget_old_requests, refreshing.mend, completing.sweep, direct.sweep),
    "hour": (
        purging.purge_deleted,
        garbage.collect_garbage,
        presence.forget_workers,
        checkpoints.make_hourly,
        pruning.prune_by_setting,
        partitions.make_ahead,
        forget_old_sign_ins,
        forget_old_links,
        forget_old_keys,
        forget_old_setups,
        forget_old_codes,
        forget_admin_sessions,
        waiting.remind,
    ),
}


def run(every: str) -> None:
    """Do the work of one period ("second", "minute" or "hour"): OWN_PARTS, then ``worker_tick``.

    Each part is safe to run in any number of processes at the same time, too often, and late. A part
    that raises is logged and tried again in the next period; the other parts still run.

    The work of minutes and hours ends uploads, orders, subscriptions and months by the clock of this
    machine. One that differs from the database's by more than WRONG_SECONDS leaves it to other workers.
    """
    if every != "second" and _clock_is_wrong():
        return
    for part in OWN_PARTS[every]:
        try:
            part()
        except Exception:
            logger.exception("%s failed", part.__qualname__)
            connections.close_all()
    worker_tick.send_robust(sender=None, every=every)  # logs exceptions


def _clock_is_wrong() -> bool:
    """Return whether this machine's clock is wrong, and log it."""
    try:
        difference = database.clock_difference()
    except DatabaseError:
        return False  # what needs the database fails and is logged
    if abs(difference) <= WRONG_SECONDS:
        return False
    logger.error(
        "This machine's clock is %.0f seconds %s the database's, so it does no work of minutes and"
        " hours, which ends things by the clock. Let NTP set both clocks.",
        abs(difference),
        "behind" if difference > 0 else "ahead of",
    )
    return True
