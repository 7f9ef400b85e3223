"""Reconciliation: finding at the gateways what lost webhook events and dead processes missed."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from payments import gateways, modes
from payments.gateways.base import Change, NotThere, ObjectKind
from payments.models import Dispute, Order, Payment, Reconciliation, Refund, Subscription
from payments.services.gateway_news import followups
from payments.services.gateway_news.changes import process_change

logger = logging.getLogger(__name__)

# An order whose charge has led to no payment for so long is open for another card again.
CHARGE_LOST_AFTER = timedelta(minutes=5)
# The hourly reconciliation looks back so far at least: to its last complete run if that is longer ago,
# but at most so far as gateways keep the list of changes.
LOOK_BACK, LOOK_BACK_MAX = timedelta(hours=3), timedelta(days=30)
# By so much a gateway's clock may be behind ours.
CLOCKS_DIFFER_BY = timedelta(minutes=5)
_UNDER_WAY = (Payment.Status.CREATED, Payment.Status.REQUIRES_ACTION, Payment.Status.PROCESSING)


@dataclass
class Findings:
    """The outcome of a reconciliation: one line of text for each object that changed or failed."""

    looked_at: int = 0
    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def reconcile(
    since: datetime | None = None, *, on_step: Callable[[str], None] = lambda text: None
) -> Findings:
    """Fetch all that may have changed at the gateways since a moment, and all that is still open here.

    Without ``since``, look back to the last complete reconciliation of each gateway, so that an outage
    of the worker is made up for, however long it was. Then reopen the orders whose charge was lost, and
    make the follow-ups that are due. Safe to repeat: a second run finds nothing to change. A gateway
    that does not answer is reported as failed. ``on_step`` is told each object before it is fetched.
    Call it outside of any transaction. Raises PaymentsClosed.
    """
    gateways.require_open()
    findings = Findings()
    for name in _gateway_names():
        begun_at, failed_before = timezone.now(), len(findings.failed)
        looks_from = since or _due_since(name, begun_at)
        for change in _changes(name, looks_from, findings):
            on_step(f"{name} {change.kind} {change.external_id}")
            _process(name, change, findings)
        if len(findings.failed) == failed_before:
            _note_complete(name, since=since, until=begun_at)
    findings.changed += [f"order {order.pk} reopened" for order in reopen_lost_charges()]
    try:
        done = followups.run()
    except OSError as error:
        findings.failed.append(f"follow-ups: {error}")
        done = 0
    if done:
        findings.changed.append(f"{done} follow-ups done")
    return findings


def _due_since(name: str, now: datetime) -> datetime:
    """Return the moment from which on changes at a gateway may not have been looked at."""
    latest = Reconciliation.objects.filter(gateway=name).first()
    seen = latest.complete_until - CLOCKS_DIFFER_BY if latest is not None else now
    return max(now - LOOK_BACK_MAX, min(now - LOOK_BACK, seen))


def _note_complete(name: str, *, since: datetime | None, until: datetime) -> None:
    """Note that the changes of a gateway were looked at, unless a ``since`` of one's own left a gap."""
    known, created = Reconciliation.objects.get_or_create(
        gateway=name, defaults={"complete_until": until}
    )
    if not created and (since is None or since <= known.complete_until):
        known.complete_until = max(known.complete_until, until)
        known.save(update_fields=["complete_until"])


def reopen_lost_charges() -> list[Order]:
    """Open the orders whose charge never reached their gateway for another card; return them.

    A process that dies while it charges a card leaves the order PROCESSING. The gateway is asked first
    for the payments since the charge began: if one pays the order, it is taken over instead. While the
    gateway does not answer, the order stays as it is. Safe to repeat, and to run in many processes.
    """
    reopened = []
    for name in sorted({order.gateway for order in _orders_with_lost_charge()}):
        begun_at = min(o.changed_at for o in _orders_with_lost_charge() if o.gateway == name)
        if not _take_over_unknown_payments(name, since=begun_at - CLOCKS_DIFFER_BY):
            continue
        for order in _orders_with_lost_charge():
            if order.gateway != name:
                continue
            # A charge that has begun meanwhile has set another time.
            unchanged = Order.objects.filter(
                pk=order.pk, status=Order.Status.PROCESSING, changed_at=order.changed_at
            )
            if unchanged.update(status=Order.Status.PENDING):
                logger.warning("Order %s is open for payment again: its charge was lost.", order.pk)
                reopened.append(order)
    return reopened


def _take_over_unknown_payments(name: str, *, since: datetime) -> bool:
    """Take over the payments of a gateway since a moment that have no row here.

    Return False if the gateway does not answer.
    """
    payments = Payment.objects.filter(gateway=name)
    try:
        for change in gateways.by_name(name).list_changes(since):
            is_known = payments.filter(external_id=change.external_id).exists()
            if change.kind == "payment" and not is_known:
                with suppress(NotThere):
                    process_change(gateway=name, kind="payment", external_id=change.external_id)
    except OSError as error:
        logger.warning("%s does not answer: %s", name, error)
        return False
    return True


def _gateway_names() -> list[str]:
    """Return the current gateway and every other one that a payment was made at."""
    payments = Payment.objects.filter(modes.of_present("created_at"))
    used = set(payments.order_by().values_list("gateway", flat=True).distinct())
    return sorted(name for name in {settings.PAYMENT_GATEWAY} | used if gateways.is_open(name))


def _changes(name: str, since: datetime, findings: Findings) -> list[Change]:
    """Return the objects of a gateway to fetch, each once: the recently changed, then the open ones."""
    try:
        changes = list(gateways.by_name(name).list_changes(since))
    except OSError as error:
        logger.warning("%s does not answer: %s", name, error)
        findings.failed.append(f"{name} does not answer")
        changes = []
    changes += _open_here(name)
    return list(dict.fromkeys(changes))


def _open_here(name: str) -> Iterator[Change]:
    """Yield the objects of a gateway from which our rows still expect an outcome."""
    for payables in (
        Order.objects.filter(followups.OPEN_CHECKOUT, gateway=name),
        Subscription.objects.filter(followups.OPEN_CHECKOUT, gateway=name),
    ):
        yield from _as_changes("checkout", payables.values_list("checkout_id", flat=True))
    overdue = Subscription.objects.filter(
        gateway=name,
        external_id__isnull=False,
        closed_at_gateway=False,
        period_end__lte=timezone.now(),
    )
    yield from _as_changes("subscription", overdue.values_list("external_id", flat=True))
    unfinished = Payment.objects.filter(
        Q(status__in=_UNDER_WAY)
        | Q(refunds__status=Refund.Status.PENDING)
        | Q(disputes__status__in=Dispute.OPEN)
        | Q(order__status=Order.Status.DISPUTED)
        # A lost dispute ends the subscription, unless it was decided under an older release.
        | Q(
            disputes__withdrawn__gt=F("disputes__reinstated"),
            invoice__subscription__status__in=Subscription.RUNNING,
        ),
        modes.of_present("created_at"),
        gateway=name,
    )
    yield from _as_changes("payment", unfinished.values_list("external_id", flat=True))


def _as_changes(kind: ObjectKind, external_ids: Iterable[str | None]) -> Iterator[Change]:
    return (Change(kind, external_id) for external_id in external_ids if external_id is not None)


def _process(name: str, change: Change, findings: Findings) -> None:
    """Process one change and note in the findings whether it changed or failed."""
    findings.looked_at += 1
    before = _state(name, change)
    try:
        process_change(gateway=name, kind=change.kind, external_id=change.external_id)
    except NotThere:
        return
    except OSError as error:
        findings.failed.append(f"{change.kind} {change.external_id}: {error}")
        return
    if _state(name, change) != before:
        findings.changed.append(f"{change.kind} {change.external_id}")


def _state(name: str, change: Change) -> list[tuple[object, ...]]:
    """Return the columns of our rows that processing the change may alter, for a comparison."""
    if change.kind == "payment":
        payments = Payment.objects.filter(gateway=name, external_id=change.external_id)
        return list(
            payments.order_by("pk", "refunds__pk").values_list(
                "status", "captured", "disposition", "order__status", "entries_booked",
                "refunds__status",
            )
        )  # fmt: skip
    if change.kind == "subscription":
        subscriptions = Subscription.objects.filter(gateway=name, external_id=change.external_id)
        return list(
            subscriptions.order_by("invoices__pk").values_list(
                "status", "plan", "next_plan", "period_end", "cancel_at_period_end",
                "disposition", "invoices__status",
            )
        )  # fmt: skip
    orders = Order.objects.filter(checkout_id=change.external_id)
    begun = Subscription.objects.filter(checkout_id=change.external_id)
    return [*orders.values_list("pk", "status"), *begun.values_list("pk", "status")]


def _orders_with_lost_charge() -> list[Order]:
    """Return orders that are PROCESSING without a payment that is, or may still be, captured.

    The process that charged them died before the gateway heard of it, or there would be a payment.
    """
    heard = Payment.objects.exclude(status__in=[Payment.Status.FAILED, Payment.Status.CANCELED])
    return list(
        Order.objects.filter(
            status=Order.Status.PROCESSING, changed_at__lte=timezone.now() - CHARGE_LOST_AFTER
        ).exclude(payments__in=heard)
    )
