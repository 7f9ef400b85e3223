"""The state of subscriptions, taken from the gateway that bills them. No other module changes it."""

import logging
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from payments import gateways, locks
from payments.gateways.base import InvoiceSnapshot, PaymentSnapshot, SubscriptionSnapshot
from payments.models import Invoice, Payment, Plan, Subscription
from payments.services import access
from payments.services.notices import writing
from payments.services.settling import fetching
from payments.services.settling.facts import sync_payment
from payments.services.subscribing import invoices
from payments.signals import subscription_changed, subscription_renewed

logger = logging.getLogger(__name__)
Status = Subscription.Status
Disposition = Subscription.Disposition
_ACTIONS: dict[str, AuditAction] = {
    Status.ACTIVE: AuditAction.SUBSCRIPTION_RENEWED,
    Status.PAST_DUE: AuditAction.SUBSCRIPTION_PAST_DUE,
    Status.CANCELED: AuditAction.SUBSCRIPTION_CANCELED,
}


def sync_subscription(
    *,
    gateway: str,
    external_id: str,
    subscription: Subscription | None = None,
    payment: PaymentSnapshot | None = None,
) -> Subscription | None:
    """Fetch a subscription from its gateway, and apply its state, invoices and payments.

    ``subscription`` is the row that it was started for; without it the gateway's reference tells.
    ``payment`` is the gateway's latest answer about one of its payments; once captured, it is not
    fetched again. One that is still open is: the invoice may have been paid by it meanwhile.
    Return the row, or None when the subscription is not one of ours. Safe to repeat and to run at the
    same time. Raises OSError when the gateway does not answer, and NotThere for a subscription that was
    never known here; for one that is gone see `fetching`.

    Each fetch takes a ticket before it asks, and only the answer to the highest ticket is applied.
    Every change at the gateway is followed by a fetch, so that the answer applied last is true.

    Payments of earlier periods that are settled are not fetched again, so that old subscriptions cost no
    more than new ones. News of those, as of a refund or a dispute, name the payment itself.
    """
    row = Subscription.objects.filter(gateway=gateway, external_id=external_id).first()
    if row is None:
        row = _claim_row(gateway, external_id, subscription)
        if row is None:
            logger.error("The %s subscription %s is not ours.", gateway, external_id)
            return None
    Subscription.objects.filter(pk=row.pk).update(sync_ticket=F("sync_ticket") + 1)
    ticket = Subscription.objects.values_list("sync_ticket", flat=True).get(pk=row.pk)
    snapshot = fetching.subscription(row, external_id)
    billed = _apply_if_newest(row.pk, ticket, snapshot)
    settled = invoices.settled_payments(row)
    answered = {payment.external_id: payment} if payment is not None and payment.captured else {}
    for number, (invoice, fact) in enumerate(billed, 1):
        was_open = invoice.status != Invoice.Status.PAID
        for payment_id in fact.payment_ids:
            if number == len(billed) or payment_id not in settled:
                sync_payment(
                    gateway=gateway,
                    external_id=payment_id,
                    invoice=invoice,
                    snapshot=answered.get(payment_id),
                )
        if was_open and fact.status == Invoice.Status.PAID:
            invoices.note_paid_elsewhere(invoice)
    row = Subscription.objects.select_related("plan", "next_plan", "user").get(pk=row.pk)
    if row.status == Status.PAST_DUE and row.disposition == Disposition.PRIMARY:
        # Not before its invoice and payment are known. A process that dies here loses nothing: the
        # mail is written by the next sync.
        writing.write_unpaid_renewal(row)
    return row


def _claim_row(
    gateway: str, external_id: str, subscription: Subscription | None
) -> Subscription | None:
    """Give a row the id of a gateway's subscription that has no row yet. Return None if not ours."""
    if subscription is None:
        snapshot = gateways.by_name(gateway).fetch_subscription(external_id)
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
    # The row has another subscription of the gateway already. If that one failed, this one becomes
    # the user's own. Otherwise it was paid in another tab: it is a duplicate, ended and refunded.
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
        except IntegrityError:  # the user has a live one, or another process has created this row
            continue
    return Subscription.objects.get(gateway=gateway, external_id=external_id)


@transaction.atomic
def _apply_if_newest(
    pk: uuid.UUID, ticket: int, snapshot: SubscriptionSnapshot
) -> list[tuple[Invoice, InvoiceSnapshot]]:
    """Apply the gateway's answer unless the answer to a later ticket has been applied.

    Return our rows of the invoices of the answer, each with the invoice as it was answered.
    """
    user_id = Subscription.objects.values_list("user_id", flat=True).get(pk=pk)
    # All subscriptions of the user are locked, because a running one ends an unpaid one.
    rows = locks.lock_subscriptions_of(user_id)
    locked = locks.lock_invoices_of(rows)
    row = rows.pop(pk)
    known = {each.external_id: each for each in locked.values() if each.subscription_id == pk}
    is_newest = ticket > row.applied_ticket
    if is_newest:
        row.applied_ticket = ticket
        _apply_snapshot(row, snapshot, list(rows.values()))
    return [
        (invoice, fact)
        for fact in snapshot.invoices
        if (invoice := invoices.update_invoice(row, known, fact, is_newest=is_newest)) is not None
    ]


def _apply_snapshot(
    row: Subscription, snapshot: SubscriptionSnapshot, others: list[Subscription]
) -> None:
    """Set a locked row to the gateway's answer. ``others`` are the user's other rows, locked too."""
    before, now = Status(row.status), timezone.now()
    terms_before, end_before = _Terms.of(row), row.period_end
    status = snapshot.status
    if status == Status.CANCELED and before in {Status.PAST_DUE, Status.EXPIRED}:
        status = Status.EXPIRED  # the gateway canceled it because the renewal was not paid
    row.closed_at_gateway = snapshot.is_gone or status not in Subscription.LIVE
    never_ran = row.period_end is None
    if before not in Subscription.LIVE and status in Subscription.LIVE:
        # It was ended here, and a follow-up still has to cancel it at the gateway. One that never ran
        # begins after all when it is paid: its money is real.
        status = status if never_ran and status in Subscription.RUNNING else before
    if status in Subscription.RUNNING:
        _keep_one_primary(row, others)
    row.status = status
    plans = Plan.objects.in_bulk([snapshot.plan_code, snapshot.next_plan_code], field_name="code")
    if snapshot.plan_code in plans:
        row.plan = plans[snapshot.plan_code]
    row.next_plan = plans.get(snapshot.next_plan_code) if status in Subscription.RUNNING else None
    row.cancel_at_period_end = snapshot.cancel_at_period_end
    row.must_not_renew = row.must_not_renew and not snapshot.cancel_at_period_end
    if status in Subscription.RUNNING:
        row.period_start, row.period_end = snapshot.period_start, snapshot.period_end
        row.ended_at = None
    elif status != Status.INCOMPLETE:
        row.ended_at = row.ended_at or snapshot.ended_at or now
    if status == Status.PAST_DUE:
        since = row.past_due_since or snapshot.period_start or now
        row.past_due_since = since
        row.grace_until = since + timedelta(days=settings.SUBSCRIPTION_GRACE_DAYS)
    else:
        row.past_due_since = row.grace_until = None
    by = row.changing_by
    changes_terms = {before, status} <= {*Subscription.RUNNING} and _Terms.of(row) != terms_before
    if changes_terms or status != before:
        row.changing_by = None
    row.save()
    _apply_status_effects(row, before, by=by)
    if changes_terms:
        _record_changed_terms(row, terms_before, by=by)
    begins = row.period_start
    if before == status == Status.ACTIVE and begins is not None and end_before is not None:
        _record_renewal(row, begins, end_before)


class _Terms(NamedTuple):
    """The terms of a running subscription that its subscriber can change."""

    plan_id: uuid.UUID
    next_plan_id: uuid.UUID | None
    cancel_at_period_end: bool

    @classmethod
    def of(cls, row: Subscription) -> "_Terms":
        return cls(row.plan_id, row.next_plan_id, row.cancel_at_period_end)


def _record_changed_terms(row: Subscription, before: _Terms, *, by: User | None) -> None:
    """Write the audit entries of a changed plan, a cancellation at the period's end and its undoing."""
    after = _Terms.of(row)
    if after[:2] != before[:2]:
        audit.record(
            actor=by,
            action=AuditAction.SUBSCRIPTION_CHANGED,
            target=row,
            plan=(row.next_plan or row.plan).code,
            at_period_end=row.next_plan is not None,
        )
    if after.cancel_at_period_end and not before.cancel_at_period_end:
        audit.record(
            actor=by, action=AuditAction.SUBSCRIPTION_CANCELED, target=row, at_period_end=True
        )
    elif before.cancel_at_period_end and not after.cancel_at_period_end:
        audit.record(actor=by, action=AuditAction.SUBSCRIPTION_RESUMED, target=row)


def _record_renewal(row: Subscription, begins: datetime, end_before: datetime) -> None:
    """Write the audit entry of a period that begins where the last one ended, if this one does.

    An upgrade begins its period earlier. A renewal that was past due is recorded with its status.
    """
    if begins >= end_before:
        audit.record(
            actor=row.user_id,
            action=AuditAction.SUBSCRIPTION_RENEWED,
            target=row,
            period_start=begins.isoformat(),
        )
        if row.disposition == Disposition.PRIMARY:
            subscription_renewed.send(sender=Subscription, subscription=row)


def _apply_status_effects(row: Subscription, before: str, *, by: User | None = None) -> None:
    """Update a locked row's invoices and entitlement; if its status is new, record and announce it."""
    if row.status not in Subscription.LIVE and row.ended_at is not None:
        row.invoices.filter(
            period_start__lte=row.ended_at, period_end__gt=row.ended_at, ended_early_at=None
        ).update(ended_early_at=row.ended_at)
    access.update_for_subscription(row)
    if row.status == before or row.disposition != Disposition.PRIMARY:
        return
    action = _action_of(row.status, before)
    actor = row.user_id if by is None else by
    audit.record(actor=actor, action=action, target=row, before=before, status=row.status)
    subscription_changed.send(sender=Subscription, subscription=row, before=before)


def _action_of(status: str, before: str) -> AuditAction:
    """Return the audit action of a status change."""
    ended_or_new = {Status.INCOMPLETE, Status.CANCELED, Status.EXPIRED}
    if before in ended_or_new and status in {Status.TRIALING, Status.ACTIVE}:
        return AuditAction.SUBSCRIPTION_STARTED
    return _ACTIONS.get(status, AuditAction.SUBSCRIPTION_ENDED)


def _keep_one_primary(row: Subscription, others: list[Subscription]) -> None:
    """Make a running row the user's only primary one.

    Beside another running one it becomes a duplicate; an incomplete one is canceled.
    """
    if row.disposition == Disposition.DUPLICATE:
        return
    primary = [other for other in others if other.disposition == Disposition.PRIMARY]
    if any(other.status in Subscription.RUNNING for other in primary):
        row.disposition = Disposition.DUPLICATE
        return
    for other in primary:
        if other.status == Status.INCOMPLETE:
            end_subscription(other, Status.CANCELED)


def resync(subscription: Subscription) -> None:
    """Apply the gateway's present state of a subscription that it knows. Raises NotThere, OSError."""
    if subscription.external_id is not None:
        sync_subscription(gateway=subscription.gateway, external_id=subscription.external_id)


def end_subscription(row: Subscription, status: str) -> None:
    """End a locked, live subscription with the given status; do nothing for one that has ended.

    `gateway_news.followups` cancels it at the gateway afterwards.
    """
    if row.status not in Subscription.LIVE:
        return
    before, row.status, row.ended_at = row.status, status, timezone.now()
    by, row.changing_by = row.changing_by, None
    row.save(update_fields=["status", "ended_at", "changing_by"])
    _apply_status_effects(row, before, by=by)


def update_from_payment(payment: Payment) -> None:
    """Update the invoice that a payment pays, and the subscription's access. Safe to repeat.

    The invoice becomes paid when its payments sum up to its amount. The subscription ends if money on
    which its period rests has gone back for good, or if the payer's bank kept money of a part of an
    unpaid renewal: the user can then subscribe again. Money that comes back later starts nothing again,
    but is shown in the review queue.
    """
    if payment.disposition != Payment.Disposition.APPLIED or payment.invoice is None:
        return
    rows = locks.lock_subscriptions_of(payment.invoice.subscription.user_id)
    invoice = locks.lock_invoices_of(rows)[payment.invoice.pk]
    row = rows[invoice.subscription_id]
    applied = invoice.payments.filter(disposition=Payment.Disposition.APPLIED)
    paid = applied.aggregate(total=Sum("captured"))["total"] or 0
    if invoice.status != Invoice.Status.PAID and paid >= invoice.amount:
        invoice.status, invoice.paid_at = Invoice.Status.PAID, payment.captured_at
        invoice.save(update_fields=["status", "paid_at"])
        invoices.cut_short(row, invoice)
    is_unpaid = invoice.status != Invoice.Status.PAID
    is_lost = payment.has_lost_dispute() and not payment.has_undecided_dispute()
    # A refund that is under way only revokes the access, and gives it back if the refund fails.
    if (is_unpaid and is_lost) or access.is_taken_back(row, for_good=True):
        if row.status in Subscription.LIVE and row.disposition == Disposition.PRIMARY:
            writing.write_end_after_return(row, payment)
        end_subscription(row, Status.CANCELED)
    else:
        access.update_for_subscription(row)
