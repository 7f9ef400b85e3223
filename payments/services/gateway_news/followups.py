"""Follow-ups: the calls that a gateway is still owed after a commit.

No gateway is called inside a transaction, and a process may die right after one. Therefore no call is
queued: the rows themselves show that it is due. Every run finds the due calls by a query and makes them
with an idempotency key, until the gateway has answered each one.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from django.db.models import Q
from django.utils import timezone

from config.errors import DomainError
from payments import gateways
from payments.errors import GatewayUnavailable, PaymentsClosed
from payments.gateways.base import GatewayAway, NotThere, RequestRefused
from payments.models import Invoice, Order, Payment, Subscription
from payments.services.gateway_news import changes
from payments.services.settling import customers, evidence, refunds
from payments.services.settling.facts import sync_payment
from payments.services.subscribing import deactivation
from payments.services.subscribing.follow_gateway import sync_subscription

logger = logging.getLogger(__name__)
AT_ONCE = 100
CONFIRM_WITHIN = timedelta(hours=24)
OPEN_CHECKOUT = Q(checkout_id__isnull=False, checkout_closed=False)
# Payments that wait for the bank's answer; those of an invoice that must not be paid any more.
WAITING = Payment.objects.filter(status=Payment.Status.REQUIRES_ACTION)
UNPAYABLE = Q(invoice__status__in=Invoice.GIVEN_UP)

# The worker runs the follow-ups every second. It must not wait for a silent gateway each time.
PAUSE_SECONDS = 60.0
_silent_until = 0.0

Row = TypeVar("Row")


def run_unless_silent(work: Callable[[], int] | None = None) -> int:
    """Do the work, except in the minute after a gateway did not answer; return the number of calls.

    For the worker's clock: logs a gateway that does not answer, instead of raising OSError. Without
    ``work`` this is `run`.
    """
    global _silent_until  # one per process
    if time.monotonic() < _silent_until:
        return 0
    try:
        return (work or run)()
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
        + _each(deactivation.due(), deactivation.end_renewals_of)
        + _each(_payments_of_deactivated(), _cancel_payment)
        + _each(evidence.due_submissions(), evidence.submit_at_gateway)
    )


def cancel_abandoned() -> int:
    """Cancel the payments at their gateways that wait for a bank's answer to a closed order or invoice.

    A buyer may confirm a payment up to CONFIRM_WITHIN after the order's time is over: it is paid then.
    Return the number of calls. A payment that is captured in the meantime is taken over. Safe to
    repeat. Raises OSError when a gateway does not answer.
    """
    over = Q(order__expires_at__lte=timezone.now() - CONFIRM_WITHIN)
    closed = over & ~Q(order__status__in=Order.OPEN)
    return _each(WAITING.filter(closed | UNPAYABLE).order_by("pk")[:AT_ONCE], _cancel_payment)


def delete_erased_customers() -> int:
    """Delete the gateway's records of erased users; return the number of calls. Safe to repeat.

    Raises OSError when a gateway does not answer.
    """
    return _each(customers.due_to_delete(), customers.delete_at_gateway)


def _payments_of_deactivated() -> list[Payment]:
    """Return payments that wait for a bank's answer, and that the deactivation of a user has closed.

    The user is the payer, or the creator of the video: nothing is charged for it any more. A suspended
    creator, and a video that is taken down, close them as well.
    """
    gone = (
        Q(order__buyer__is_active=False)
        | Q(order__video__creator__is_active=False)
        | Q(order__video__creator__suspended_at__isnull=False)
        | Q(order__video__taken_down_at__isnull=False)
    )
    closed = gone & ~Q(order__status__in=Order.OPEN)
    unpayable = UNPAYABLE & Q(invoice__subscription__user__is_active=False)
    return list(WAITING.filter(closed | unpayable).order_by("pk")[:AT_ONCE])


def _cancel_payment(payment: Payment) -> None:
    with suppress(NotThere):
        gateways.by_name(payment.gateway).cancel_payment(payment.external_id)
    sync_payment(gateway=payment.gateway, external_id=payment.external_id)


def _each(rows: Iterable[Row], call: Callable[[Row], None]) -> int:
    """Make the call for each row, and return the number that succeeded.

    A call that the gateway refuses is logged, and the others are made. Raises GatewayAway when the
    gateway does not answer.
    """
    done = 0
    for row in rows:
        try:
            call(row)
            done += 1
        except (DomainError, NotThere, RequestRefused) as error:
            is_away = isinstance(error, GatewayUnavailable) and not (
                isinstance(error, PaymentsClosed) or isinstance(error.__cause__, RequestRefused)
            )
            if is_away:
                raise GatewayAway(str(error)) from error
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
    """Close the checkout of an order or subscription; take the payment over if it was paid first.

    A checkout that is gone at the gateway is closed.
    """
    if row.checkout_id is None:
        return
    try:
        checkout = gateways.by_name(row.gateway).expire_checkout(row.checkout_id)
    except NotThere:
        checkout = None
    if checkout is None or checkout.status == "expired":
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
    """Cancel a subscription at its gateway. One that the gateway does not know is billed no more."""
    if row.external_id is None:
        return
    gateway = gateways.by_name(row.gateway)
    try:
        gateway.cancel_subscription(row.external_id, at_period_end=False)
    except NotThere:
        Subscription.objects.filter(pk=row.pk).update(closed_at_gateway=True)
        return
    sync_subscription(gateway=row.gateway, external_id=row.external_id)
