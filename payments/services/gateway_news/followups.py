"""What must still be said to a gateway after the books were written: the rows say what.

No gateway is called inside a transaction, and a process may die right after one. So everything that
follows from a commit is found by a query, asked for with a key, and asked for again until it is done.
"""

import logging
import time
from collections.abc import Callable, Iterable

from config.errors import DomainError
from payments import gateways
from payments.errors import GatewayUnavailable
from payments.gateways.base import GatewayAway, NotThere
from payments.models import Order, Refund, Subscription
from payments.services.gateway_news import changes
from payments.services.settling import refunds
from payments.services.subscribing.follow_gateway import sync_subscription

logger = logging.getLogger(__name__)
AT_ONCE = 100


# A gateway that does not answer must not hold the worker up every second.
PAUSE_SECONDS = 60.0
_silent_until = 0.0


def run_unless_silent() -> int:
    """`run`, but not within a minute of a gateway's not answering: for the worker's clock."""
    global _silent_until  # one per process
    if time.monotonic() < _silent_until:
        return 0
    try:
        return run()
    except OSError as error:
        logger.warning("A gateway does not answer: %s", error)
        _silent_until = time.monotonic() + PAUSE_SECONDS
        return 0


def run() -> int:
    """Do all that is due; returns how much was done. What is refused is tried again the next time.

    Raises OSError when a gateway does not answer; the rest is done the next time.
    """
    return (
        _each(refunds.unheard(), refunds.carry_out)
        + _each(_pages(Order, Order.OPEN), _close_page)
        + _each(_pages(Subscription, (Subscription.Status.INCOMPLETE,)), _close_page)
        + _each(_ended_here(), _end_at_gateway)
    )


def _each(rows: Iterable, act: Callable) -> int:
    done = 0
    for row in rows:
        try:
            act(row)
            done += 1
        except GatewayUnavailable as error:
            raise GatewayAway(str(error)) from error
        except (DomainError, NotThere) as error:
            logger.warning("%s of %s: %s", act.__name__, row, error)
    return done


def _pages(model, open_statuses) -> list:
    """Hosted pages of what nobody shall pay any more."""
    pages = model.objects.filter(checkout_id__isnull=False, checkout_closed=False)
    return list(pages.exclude(status__in=open_statuses)[:AT_ONCE])


def _close_page(row) -> None:
    page = gateways.by_name(row.gateway).expire_checkout(row.checkout_id)
    if page.status == "expired":
        type(row).objects.filter(pk=row.pk).update(checkout_closed=True)
    else:  # somebody was faster: their money is real, or on its way
        changes.sync_checkout(gateway=row.gateway, external_id=row.checkout_id)


def _ended_here() -> list[Subscription]:
    """Ended by us, or begun beside another: the gateway must not bill them again."""
    running = Subscription.objects.filter(external_id__isnull=False, closed_at_gateway=False)
    duplicate = running.filter(disposition=Subscription.Disposition.DUPLICATE)
    ended = running.exclude(status__in=Subscription.LIVE)
    return list((duplicate | ended)[:AT_ONCE])


def _end_at_gateway(row: Subscription) -> None:
    gateway = gateways.by_name(row.gateway)
    gateway.cancel_subscription(row.external_id, at_period_end=False)
    sync_subscription(gateway=row.gateway, external_id=row.external_id)


def waiting() -> int:
    """How much is still to be said."""
    return (
        Refund.objects.filter(status=Refund.Status.REQUESTED).count()
        + len(_pages(Order, Order.OPEN))
        + len(_ended_here())
    )
