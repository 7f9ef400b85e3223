"""Follow-ups: the calls that a gateway is still owed after a commit.

No gateway is called inside a transaction, and a process may die right after one. Therefore no call is
queued: the rows themselves show that it is due. Every run finds the due calls by a query and makes them
with an idempotency key, until the gateway has answered each one.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db.models import Q

from config.errors import DomainError
from payments import gateways
from payments.errors import GatewayUnavailable
from payments.gateways.base import GatewayAway, NotThere
from payments.models import Order, Subscription
from payments.services.gateway_news import changes
from payments.services.settling import refunds
from payments.services.subscribing.follow_gateway import sync_subscription

logger = logging.getLogger(__name__)
AT_ONCE = 100
OPEN_CHECKOUT = Q(checkout_id__isnull=False, checkout_closed=False)

# The worker runs the follow-ups every second. It must not wait for a silent gateway each time.
PAUSE_SECONDS = 60.0
_silent_until = 0.0

Row = TypeVar("Row")


def run_unless_silent() -> int:
    """Do as `run`, except in the minute after a gateway did not answer; return the number of calls.

    For the worker's clock: logs a gateway that does not answer, instead of raising OSError.
    """
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
    """Make all calls that are due, at most 100 of each kind; return the number that succeeded.

    Safe to repeat, and to run at once in many processes. A call that the gateway refuses is logged and
    made again by the next run. Raises OSError when a gateway does not answer; the next run makes the
    calls that were left.
    """
    return (
        _each(refunds.due_requests(), refunds.request_at_gateway)
        + _each(_orders_with_checkout_to_close(), _close_checkout)
        + _each(_subscriptions_with_checkout_to_close(), _close_checkout)
        + _each(_subscriptions_to_end(), _end_at_gateway)
    )


def _each(rows: Iterable[Row], call: Callable[[Row], None]) -> int:
    """Make the call for each row, and return the number that succeeded. A refused call is logged."""
    done = 0
    for row in rows:
        try:
            call(row)
            done += 1
        except GatewayUnavailable as error:
            raise GatewayAway(str(error)) from error
        except (DomainError, NotThere) as error:
            logger.warning("%s of %s: %s", call.__name__, row, error)
    return done


def _orders_with_checkout_to_close() -> list[Order]:
    """Return orders that must not be paid any more, while their checkout is open."""
    return list(Order.objects.filter(OPEN_CHECKOUT).exclude(status__in=Order.OPEN)[:AT_ONCE])


def _subscriptions_with_checkout_to_close() -> list[Subscription]:
    """Return subscriptions that are begun or given up, while their checkout is open."""
    rows = Subscription.objects.filter(OPEN_CHECKOUT)
    return list(rows.exclude(status=Subscription.Status.INCOMPLETE)[:AT_ONCE])


def _close_checkout(row: Order | Subscription) -> None:
    """Close the checkout of an order or subscription; take the payment over if it was paid first."""
    if row.checkout_id is None:
        return
    checkout = gateways.by_name(row.gateway).expire_checkout(row.checkout_id)
    if checkout.status == "expired":
        row.checkout_closed = True
        row.save(update_fields=["checkout_closed"])
    else:
        changes.sync_checkout(gateway=row.gateway, external_id=row.checkout_id)


def _subscriptions_to_end() -> list[Subscription]:
    """Return subscriptions that were ended here, or are duplicates, and that the gateway still bills."""
    billed = Subscription.objects.filter(external_id__isnull=False, closed_at_gateway=False)
    duplicates = billed.filter(disposition=Subscription.Disposition.DUPLICATE)
    ended = billed.exclude(status__in=Subscription.LIVE)
    return list((duplicates | ended)[:AT_ONCE])


def _end_at_gateway(row: Subscription) -> None:
    if row.external_id is None:
        return
    gateway = gateways.by_name(row.gateway)
    gateway.cancel_subscription(row.external_id, at_period_end=False)
    sync_subscription(gateway=row.gateway, external_id=row.external_id)
