"""From what the gateway says to what we hold true: the one way in for every payment fact."""

import logging
import uuid
from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways, locks
from payments.gateways.base import DisputeSnapshot, PaymentSnapshot, RefundSnapshot
from payments.models import Dispute, Invoice, JournalEntry, Order, Payment, Refund, Subscription
from payments.services.settling.split import hold_until
from payments.signals import payment_facts_changed

logger = logging.getLogger(__name__)
Kind = JournalEntry.Kind
UNDER_WAY = (Payment.Status.REQUIRES_ACTION, Payment.Status.PROCESSING)
GIVEN_UP = (Payment.Status.FAILED, Payment.Status.CANCELED)
_STATUS_RANK = {
    Payment.Status.CREATED: 0,
    Payment.Status.REQUIRES_ACTION: 1,
    Payment.Status.PROCESSING: 2,
    Payment.Status.FAILED: 3,
    Payment.Status.CANCELED: 3,
    Payment.Status.CAPTURED: 4,
}


def sync_payment(
    *, gateway: str, external_id: str, order: Order | None = None, invoice: Invoice | None = None
) -> Payment:
    """Fetch a payment from its gateway and make everything that rests on it true.

    The return page, webhooks, polls and the reconciliation all come through here. Safe to repeat
    and to run any number of times at once: facts only grow, and receivers write the difference
    between what should hold and what does. ``order`` or ``invoice`` say what a payment that is seen
    for the first time was meant for; else the reference that the gateway keeps says it.
    """
    snapshot = gateways.by_name(gateway).fetch_payment(external_id)
    if order is None and invoice is None:
        order, invoice = _meant_for(gateway, snapshot)
    with transaction.atomic():
        Payment.objects.bulk_create(
            [
                Payment(
                    gateway=gateway,
                    external_id=external_id,
                    order=order,
                    invoice=invoice,
                    amount=snapshot.amount,
                    currency=snapshot.currency,
                )
            ],
            ignore_conflicts=True,
        )
        payment = locks.lock_payment(gateway=gateway, external_id=external_id)
        now = timezone.now()  # one moment for the facts and the books: no period parts them
        for kind in [*_facts(payment, snapshot, now, order, invoice)] or [Kind.ADJUSTMENT]:
            payment_facts_changed.send(sender=Payment, payment=payment, kind=kind, at=now)
    return payment


def _meant_for(gateway: str, snapshot: PaymentSnapshot) -> tuple[Order | None, Invoice | None]:
    """What the gateway's own reference says that a payment is for, as far as it is ours."""
    try:
        order_id = uuid.UUID(snapshot.order_id) if snapshot.order_id else None
    except ValueError:
        order_id = None
    if order_id is not None:
        return Order.objects.filter(pk=order_id, gateway=gateway).first(), None
    if snapshot.invoice_id:
        found = Invoice.objects.filter(
            external_id=snapshot.invoice_id, subscription__gateway=gateway
        )
        return None, found.first()
    return None, None


def _facts(
    payment: Payment, snapshot: PaymentSnapshot, now: datetime, order, invoice
) -> Iterator[str]:
    """Merge what is new, one fact at a time; each is booked before the next one is looked at."""
    if payment.order_id is None and payment.invoice_id is None:
        # Heard of before we knew what it was for.
        payment.order, payment.invoice = order, invoice
        if payment.disposition == Payment.Disposition.UNMATCHED and (order or invoice):
            payment.disposition = Payment.Disposition.NONE
    was = payment.status
    if _STATUS_RANK[snapshot.status] > _STATUS_RANK[payment.status]:
        payment.status = snapshot.status
    captured = snapshot.captured > payment.captured
    if captured:
        payment.captured = snapshot.captured
        payment.captured_at = payment.captured_at or now
        payment.available_on = payment.available_on or hold_until(payment.captured_at)
        audit.record(
            actor=_payer(payment),
            action=AuditAction.PAYMENT_CAPTURED,
            target=payment,
            amount=payment.captured,
            currency=payment.currency,
        )
    placed = payment.captured and payment.disposition == Payment.Disposition.NONE
    if placed:
        payment.disposition = _disposition(payment)
    payment.save(
        update_fields=[
            "status", "captured", "captured_at", "available_on", "disposition", "order", "invoice",
        ]
    )  # fmt: skip
    if captured or placed:
        yield Kind.CAPTURE
    if was in UNDER_WAY and payment.status in GIVEN_UP:
        yield "failed"
    if snapshot.fee > payment.fee:
        payment.fee = snapshot.fee
        payment.save(update_fields=["fee"])
        yield Kind.FEE
    for fact in snapshot.refunds:
        if kind := _merge_refund(payment, fact, now):
            yield kind
    for fact in snapshot.disputes:
        if kind := _merge_dispute(payment, fact, now):
            yield kind
    if payment.disposition == Payment.Disposition.DUPLICATE:
        _owe_back(payment)


def _merge_refund(payment: Payment, fact: RefundSnapshot, now: datetime) -> str:
    """Returns the kind of entry that it makes; empty when the books need none."""
    refund = _known_refund(payment, fact) or Refund(payment=payment, amount=fact.amount)
    counted = refund.status in Refund.COUNTS
    risen = refund._state.adding or Refund.RANK[fact.status] > Refund.RANK[refund.status]
    if not risen and refund.external_id is not None:
        return ""
    refund.external_id = fact.external_id
    if risen:
        refund.status = fact.status
    counts = refund.status in Refund.COUNTS
    if counts:
        refund.counted_at = refund.counted_at or now
    refund.save()
    if risen and refund.status in {Refund.Status.SUCCEEDED, Refund.Status.FAILED}:
        succeeded = refund.status == Refund.Status.SUCCEEDED
        audit.record(
            actor=refund.by,
            action=AuditAction.REFUND_SUCCEEDED if succeeded else AuditAction.REFUND_FAILED,
            target=refund,
            amount=refund.amount,
            currency=payment.currency,
        )
    if counts == counted:
        return ""
    return Kind.REFUND if counts else Kind.REFUND_REVERSED


def _known_refund(payment: Payment, fact: RefundSnapshot) -> Refund | None:
    """Our row of a refund: by the gateway's id, or, while we have not heard it, by our own key."""
    for refund in payment.refunds.all():
        if fact.external_id == refund.external_id:
            return refund
        if refund.external_id is None and fact.key == refund.key:
            return refund
    return None


def _merge_dispute(payment: Payment, fact: DisputeSnapshot, now: datetime) -> str:
    """Amounts only rise; the status is for people to read and moves nothing."""
    dispute = payment.disputes.filter(external_id=fact.external_id).first()
    is_new = dispute is None
    dispute = dispute or Dispute(payment=payment, external_id=fact.external_id, amount=fact.amount)
    before = dispute.withdrawn, dispute.reinstated, dispute.fee
    dispute.withdrawn = max(dispute.withdrawn, fact.withdrawn)
    dispute.reinstated = min(max(dispute.reinstated, fact.reinstated), dispute.withdrawn)
    dispute.fee = max(dispute.fee, fact.fee)
    after = dispute.withdrawn, dispute.reinstated, dispute.fee
    final = dispute.status in {Dispute.Status.WON, Dispute.Status.LOST}
    if not final or fact.status in {Dispute.Status.WON, Dispute.Status.LOST}:
        dispute.status = fact.status
    dispute.reason = fact.reason or dispute.reason
    dispute.evidence_due = fact.evidence_due or dispute.evidence_due
    if dispute.withdrawn:
        dispute.withdrawn_at = dispute.withdrawn_at or now
    dispute.save()
    if is_new:
        audit.record(
            actor=None,
            action=AuditAction.DISPUTE_OPENED,
            target=dispute,
            amount=dispute.amount,
            currency=payment.currency,
        )
    if after == before:
        return ""
    return Kind.DISPUTE_REINSTATED if after[1] > before[1] else Kind.DISPUTE


def _owe_back(payment: Payment) -> None:
    """Request the refund of a payment that is a duplicate; `gateway_news.followups` asks the gateway."""
    asked = payment.refunds.filter(status=Refund.Status.REQUESTED).aggregate(total=Sum("amount"))
    held = sum(d.withdrawn - d.reinstated for d in payment.disputes.all())
    left = payment.captured - payment.refunded() - held - (asked["total"] or 0)
    # A refund that the bank could not carry out is not asked for again: somebody must look.
    refused = payment.refunds.filter(
        is_automatic=True, status__in=[Refund.Status.FAILED, Refund.Status.CANCELED]
    )
    if left > 0 and not refused.exists():
        Refund.objects.create(payment=payment, amount=left, reason="paid twice", is_automatic=True)


def _disposition(payment: Payment) -> str:
    """Exactly one payment pays an order or invoice, and only with the agreed amount.

    Nobody pays twice for one thing: neither by a second payment of the order, nor by an order of a
    video that they have bought, nor by a subscription beside one that is active.
    """
    due = payment.order or payment.invoice
    if due is None:
        logger.error("Payment %s pays nothing we know of; it is in suspense.", payment.pk)
        return Payment.Disposition.UNMATCHED
    if (payment.captured, payment.currency) != (due.amount, due.currency):
        logger.error("Payment %s is not what was to be paid; it goes back.", payment.pk)
        return Payment.Disposition.DUPLICATE
    bought = _bought_order(due) if isinstance(due, Order) else _paid_invoice(due)
    if bought:
        logger.warning("Payment %s pays what was paid already; it goes back.", payment.pk)
        return Payment.Disposition.DUPLICATE
    return Payment.Disposition.APPLIED


def _bought_order(order: Order) -> bool:
    """Has this video been paid for? Locks all orders of the buyer for it, in one order.

    A rental ends, so what was rented can be rented again, or bought.
    """
    orders = locks.lock_orders_of(buyer_id=order.buyer_id, video_id=order.video_id)
    return (
        any(
            other.status in Order.BOUGHT and other.kind == Order.Kind.BUY and other.pk != order.pk
            for other in orders.values()
        )
        or order.payments.filter(disposition=Payment.Disposition.APPLIED).exists()
    )


def _paid_invoice(invoice: Invoice) -> bool:
    """Has this invoice been paid, or does it belong to a subscription beside the user's own?

    Locks the user's subscriptions.
    """
    own = locks.lock_subscriptions_of(invoice.subscription.user_id)[invoice.subscription_id]
    # Ended before it ever ran, or billed for a period after its end: the gateway had not heard of it.
    late = own.ended_at is not None and (
        own.period_end is None or invoice.period_start >= own.ended_at
    )
    return (
        late
        or own.disposition == Subscription.Disposition.DUPLICATE
        or invoice.payments.filter(disposition=Payment.Disposition.APPLIED).exists()
    )


def _payer(payment: Payment):
    if payment.order is not None:
        return payment.order.buyer
    return payment.invoice.subscription.user if payment.invoice is not None else None
