"""Reconciliation: what lost webhooks and dead processes missed, found at the gateways themselves."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from payments import gateways
from payments.gateways.base import Change, NotThere
from payments.models import Order, Payment, Subscription
from payments.services.gateway_news import followups
from payments.services.gateway_news.changes import take_in

logger = logging.getLogger(__name__)


# An order whose charge nobody has heard of for so long is open for another card again.
UNHEARD_AFTER = timedelta(minutes=5)


@dataclass
class Findings:
    looked_at: int = 0
    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def reconcile(since: datetime, *, on_step: Callable[[str], None] = lambda text: None) -> Findings:
    """Look at everything that may have changed since then, and at all that is still open.

    A second run finds nothing to change. What a gateway cannot answer now is reported as failed.
    """
    found = Findings()
    for name in _gateways():
        for change in _changes(name, since, found):
            on_step(f"{name} {change.kind} {change.external_id}")
            _look(name, change, found)
    for order in _stuck():
        # Whoever charged it died before the gateway heard of it, or there would be a payment.
        if Order.objects.filter(pk=order.pk, status=Order.Status.PROCESSING).update(
            status=Order.Status.PENDING
        ):
            found.changed.append(f"order {order.pk} reopened")
    try:
        done = followups.run()
    except OSError as error:
        found.failed.append(f"follow-ups: {error}")
        done = 0
    found.changed += [f"{done} follow-ups done"] if done else []
    return found


def _gateways() -> list[str]:
    used = set(Payment.objects.order_by().values_list("gateway", flat=True).distinct())
    return sorted({gateways.current().name} | used)


def _changes(name: str, since: datetime, found: Findings) -> list[Change]:
    try:
        changes = list(gateways.by_name(name).list_changes(since))
    except OSError as error:
        logger.warning("%s does not answer: %s", name, error)
        found.failed.append(f"{name} does not answer")
        changes = []
    open_pages = Q(gateway=name, checkout_id__isnull=False, checkout_closed=False)
    for model in (Order, Subscription):
        pages = model.objects.filter(open_pages).values_list("checkout_id", flat=True)
        changes += [Change("checkout", page) for page in pages]
    running = Subscription.objects.filter(
        gateway=name, external_id__isnull=False, closed_at_gateway=False
    )
    over = running.filter(period_end__lte=timezone.now())
    changes += [Change("subscription", pk) for pk in over.values_list("external_id", flat=True)]
    under_way = (Payment.Status.CREATED, Payment.Status.REQUIRES_ACTION, Payment.Status.PROCESSING)
    pending = Payment.objects.filter(
        Q(status__in=under_way) | Q(refunds__status="pending"), gateway=name
    )
    changes += [Change("payment", pk) for pk in pending.values_list("external_id", flat=True)]
    return list(dict.fromkeys(changes))


def _look(name: str, change: Change, found: Findings) -> None:
    found.looked_at += 1
    before = _state(name, change)
    try:
        take_in(gateway=name, kind=change.kind, external_id=change.external_id)
    except NotThere:
        return
    except OSError as error:
        found.failed.append(f"{change.kind} {change.external_id}: {error}")
        return
    if _state(name, change) != before:
        found.changed.append(f"{change.kind} {change.external_id}")


def _state(name: str, change: Change) -> list:
    """All that taking news in may change, as far as it belongs to one object."""
    if change.kind == "payment":
        rows = Payment.objects.filter(gateway=name, external_id=change.external_id)
        return list(
            rows.order_by("pk", "refunds__pk").values_list(
                "status", "captured", "disposition", "order__status", "entries_booked",
                "refunds__status",
            )
        )  # fmt: skip
    if change.kind == "subscription":
        rows = Subscription.objects.filter(gateway=name, external_id=change.external_id)
        return list(
            rows.order_by("invoices__pk").values_list(
                "status", "plan", "next_plan", "period_end", "cancel_at_period_end",
                "disposition", "invoices__status",
            )
        )  # fmt: skip
    return [
        list(model.objects.filter(checkout_id=change.external_id).values_list("status"))
        for model in (Order, Subscription)
    ]


def _stuck() -> list[Order]:
    heard = Payment.objects.exclude(status__in=[Payment.Status.FAILED, Payment.Status.CANCELED])
    return list(
        Order.objects.filter(
            status=Order.Status.PROCESSING, changed_at__lte=timezone.now() - UNHEARD_AFTER
        ).exclude(payments__in=heard)
    )
