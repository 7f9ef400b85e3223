"""Subscriptions follow their gateway, which bills them: the one way in for their state."""

import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways, locks
from payments.gateways.base import InvoiceSnapshot, SubscriptionSnapshot
from payments.models import Invoice, Payment, Plan, Refund, Subscription
from payments.services import access
from payments.services.settling.facts import sync_payment
from payments.signals import subscription_changed

logger = logging.getLogger(__name__)
Status = Subscription.Status
Disposition = Subscription.Disposition


# What the news of a status is called; the rest is the end.
_NEWS = {
    Status.PAST_DUE: AuditAction.SUBSCRIPTION_PAST_DUE,
    Status.CANCELED: AuditAction.SUBSCRIPTION_CANCELED,
}


def sync_subscription(
    *, gateway: str, external_id: str, subscription: Subscription | None = None
) -> Subscription | None:
    """Fetch a subscription from its gateway and make everything that rests on it true.

    A status rises and falls, so answers cannot be merged: each question takes a ticket before it is
    asked, and only the answer to the latest ticket counts. Every change at the gateway causes a
    question that is asked after it, so the last one applied is true. None for one that is not ours.
    """
    row = Subscription.objects.filter(gateway=gateway, external_id=external_id).first()
    if row is None:
        row = _claim_row(gateway, external_id, subscription)
        if row is None:
            logger.error("The %s subscription %s is not ours.", gateway, external_id)
            return None
    Subscription.objects.filter(pk=row.pk).update(sync_ticket=F("sync_ticket") + 1)
    ticket = Subscription.objects.values_list("sync_ticket", flat=True).get(pk=row.pk)
    snapshot = gateways.by_name(gateway).fetch_subscription(external_id)
    invoices = _apply_if_newest(row.pk, ticket, snapshot)
    for invoice, payment_ids in invoices:
        for payment_id in payment_ids:
            sync_payment(gateway=gateway, external_id=payment_id, invoice=invoice)
    return Subscription.objects.select_related("plan", "next_plan").get(pk=row.pk)


def _claim_row(
    gateway: str, external_id: str, subscription: Subscription | None
) -> Subscription | None:
    """Our row for a subscription that is seen for the first time."""
    snapshot = gateways.by_name(gateway).fetch_subscription(external_id)
    if subscription is None:
        try:
            own_id = uuid.UUID(snapshot.reference)
        except ValueError:
            return None
        subscription = Subscription.objects.filter(pk=own_id, gateway=gateway).first()
        if subscription is None:
            return None
    free = Subscription.objects.filter(pk=subscription.pk, external_id=None)
    if free.update(external_id=external_id):
        return subscription
    known = Subscription.objects.filter(gateway=gateway, external_id=external_id).first()
    if known is not None:
        return known
    # A second one for the same wish: after the first had failed, it takes its place; else it was
    # paid in another tab, and is ended and its money goes back.
    for disposition in (Disposition.PRIMARY, Disposition.DUPLICATE):
        try:
            with transaction.atomic():
                return Subscription.objects.create(
                    user_id=subscription.user_id,
                    plan_id=subscription.plan_id,
                    gateway=gateway,
                    external_id=external_id,
                    disposition=disposition,
                )
        except IntegrityError:  # the user has a live one, or another process was faster
            continue
    return Subscription.objects.get(gateway=gateway, external_id=external_id)


@transaction.atomic
def _apply_if_newest(
    pk, ticket: int, snapshot: SubscriptionSnapshot
) -> list[tuple[Invoice, tuple[str, ...]]]:
    """Take an answer over, unless a later question has been answered. Returns what was billed."""
    user_id = Subscription.objects.values_list("user_id", flat=True).get(pk=pk)
    rows = locks.lock_subscriptions_of(user_id)
    locks.lock_invoices_of(rows)
    row = rows.pop(pk)
    if ticket > row.applied_ticket:
        row.applied_ticket = ticket
        _apply_snapshot(row, snapshot, list(rows.values()))
    return [
        (invoice, fact.payment_ids)
        for fact in snapshot.invoices
        if (invoice := _update_invoice(row, fact)) is not None
    ]


def _apply_snapshot(
    row: Subscription, snapshot: SubscriptionSnapshot, others: list[Subscription]
) -> None:
    before = row.status
    status = snapshot.status
    if status == Status.CANCELED and before in {Status.PAST_DUE, Status.EXPIRED}:
        status = Status.EXPIRED  # nobody wanted this end
    row.closed_at_gateway = status not in Subscription.LIVE
    ended_here = before not in Subscription.LIVE and row.period_end is not None
    if ended_here and status in Subscription.LIVE:
        status = before  # ended by us; the gateway is still to be told
    if status in Subscription.RUNNING:
        _keep_one_primary(row, others)
    row.status = status
    plans = Plan.objects.in_bulk([snapshot.plan_code, snapshot.next_plan_code], field_name="code")
    row.plan = plans.get(snapshot.plan_code, row.plan)
    row.next_plan = plans.get(snapshot.next_plan_code)
    row.cancel_at_period_end = snapshot.cancel_at_period_end
    if status in Subscription.RUNNING:
        row.period_start, row.period_end = snapshot.period_start, snapshot.period_end
        row.ended_at = None
    elif status != Status.INCOMPLETE:
        row.ended_at = row.ended_at or snapshot.ended_at or timezone.now()
    if status == Status.PAST_DUE:
        row.past_due_since = row.past_due_since or snapshot.period_start
        row.grace_until = row.past_due_since + timedelta(days=settings.SUBSCRIPTION_GRACE_DAYS)
    else:
        row.past_due_since = row.grace_until = None
    row.save()
    _apply_status_effects(row, before)


def _apply_status_effects(row: Subscription, before: str) -> None:
    """What follows from a subscription's new state: access, the log, the news."""
    if row.status not in Subscription.LIVE and row.ended_at is not None:
        row.invoices.filter(
            period_start__lte=row.ended_at, period_end__gt=row.ended_at, ended_early_at=None
        ).update(ended_early_at=row.ended_at)
    access.update_for_subscription(row)
    if row.status == before or row.disposition != Disposition.PRIMARY:
        return
    if before in {Status.INCOMPLETE, Status.CANCELED, Status.EXPIRED} and (
        row.status in {Status.TRIALING, Status.ACTIVE}
    ):
        action = AuditAction.SUBSCRIPTION_STARTED
    elif row.status == Status.ACTIVE:
        action = AuditAction.SUBSCRIPTION_RENEWED
    else:
        action = _NEWS.get(row.status, AuditAction.SUBSCRIPTION_ENDED)
    audit.record(actor=row.user, action=action, target=row, before=before, status=row.status)
    subscription_changed.send(sender=Subscription, subscription=row, before=before)


def _keep_one_primary(row: Subscription, others: list[Subscription]) -> None:
    """One subscription a user: one that runs stays, one that was never paid gives way."""
    if row.disposition == Disposition.DUPLICATE:
        return
    primary = [s for s in others if s.disposition == Disposition.PRIMARY]
    if any(other.status in Subscription.RUNNING for other in primary):
        row.disposition = Disposition.DUPLICATE
        return
    for rival in primary:
        if rival.status == Status.INCOMPLETE:
            end_subscription(rival, Status.CANCELED)


def end_subscription(row: Subscription, status: str) -> None:
    """End a locked subscription here; `payments.services.gateway_news.followups` tells the gateway."""
    if row.status not in Subscription.LIVE:
        return
    before, row.status, row.ended_at = row.status, status, timezone.now()
    row.save(update_fields=["status", "ended_at"])
    _apply_status_effects(row, before)


def _update_invoice(row: Subscription, fact: InvoiceSnapshot) -> Invoice | None:
    """Our row of a period that the gateway billed. None for a draft whose period we know better."""
    invoice = row.invoices.filter(external_id=fact.external_id).first()
    if invoice is None:
        invoice, created = Invoice.objects.get_or_create(
            subscription=row,
            period_start=fact.period_start,
            defaults={
                "external_id": fact.external_id,
                "period_end": fact.period_end,
                "amount": fact.amount,
                "currency": fact.currency,
                "fee_bps": settings.PLATFORM_FEE_BPS,
            },
        )
        if not created and invoice.external_id is None:
            invoice.external_id = fact.external_id
            invoice.save(update_fields=["external_id"])
        elif not created:
            return None  # one period, one invoice: a second one is not billed to anybody
        # An upgrade begins a new period inside the old one.
        row.invoices.filter(
            period_start__lt=fact.period_start,
            period_end__gt=fact.period_start,
            ended_early_at=None,
        ).update(ended_early_at=fact.period_start)
    # Paid is what our books say, with its payment.
    if Invoice.Status.PAID not in {invoice.status, fact.status} and invoice.status != fact.status:
        invoice.status = fact.status
        invoice.save(update_fields=["status"])
    return invoice


def update_from_payment(payment: Payment) -> None:
    """A paid invoice is paid; money that went back in full ends the subscription or its access."""
    if payment.invoice_id is None or payment.disposition != Payment.Disposition.APPLIED:
        return
    rows = locks.lock_subscriptions_of(payment.invoice.subscription.user_id)
    invoice = locks.lock_invoices_of(rows)[payment.invoice.pk]
    row = rows[invoice.subscription_id]
    if invoice.status != Invoice.Status.PAID:
        invoice.status, invoice.paid_at = Invoice.Status.PAID, payment.captured_at
        invoice.save(update_fields=["status", "paid_at"])
    latest = not row.invoices.filter(
        period_start__gt=invoice.period_start, status=Invoice.Status.PAID
    ).exists()
    # A refund that is only under way takes the access, and gives it back when it fails.
    gone = payment.refunds.filter(status=Refund.Status.SUCCEEDED).aggregate(total=Sum("amount"))
    if latest and (gone["total"] or 0) >= payment.captured:
        end_subscription(row, Status.CANCELED)
    else:
        access.update_for_subscription(row)
