"""From what the gateway says to what we hold true: the one way in for every payment fact."""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways
from payments.gateways.base import PaymentSnapshot, RefundSnapshot
from payments.models import Invoice, Order, Payment, Refund, Subscription
from payments.signals import payment_facts_changed

logger = logging.getLogger(__name__)

_STATUS_RANK = {
    Payment.Status.CREATED: 0,
    Payment.Status.PROCESSING: 1,
    Payment.Status.FAILED: 2,
    Payment.Status.CANCELED: 2,
    Payment.Status.CAPTURED: 3,
}


def sync_payment(
    *, gateway: str, external_id: str, order: Order | None = None, invoice: Invoice | None = None
) -> Payment:
    """Fetch a payment from its gateway and make everything that rests on it true.

    Safe to repeat and to run any number of times at once: facts only grow, and receivers write the
    difference between what should hold and what does. ``order`` or ``invoice`` say what a payment
    that is seen for the first time was meant for.
    """
    snapshot = gateways.by_name(gateway).fetch_payment(external_id)
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
        payment = Payment.objects.select_for_update().get(gateway=gateway, external_id=external_id)
        now = timezone.now()  # one moment for the facts and the books: no period parts them
        _merge(payment, snapshot, now)
        payment_facts_changed.send(sender=Payment, payment=payment, at=now)
    return payment


def refunded(payment: Payment) -> int:
    """What has been given back of a payment, in minor units."""
    counting = payment.refunds.filter(status__in=Refund.COUNTS)
    return counting.aggregate(total=Sum("amount"))["total"] or 0


def _merge(payment: Payment, snapshot: PaymentSnapshot, now: datetime) -> None:
    if _STATUS_RANK[snapshot.status] > _STATUS_RANK[payment.status]:
        payment.status = snapshot.status
    if snapshot.captured > payment.captured:
        payment.captured = snapshot.captured
        payment.captured_at = payment.captured_at or now
        audit.record(
            actor=_payer(payment),
            action=AuditAction.PAYMENT_CAPTURED,
            target=payment,
            amount=payment.captured,
            currency=payment.currency,
        )
    if payment.captured and payment.disposition == Payment.Disposition.NONE:
        payment.disposition = _disposition(payment)
    payment.save(update_fields=["status", "captured", "captured_at", "disposition"])
    for fact in snapshot.refunds:
        _merge_refund(payment, fact, now)


def _merge_refund(payment: Payment, fact: RefundSnapshot, now: datetime) -> None:
    refund = _known_refund(payment, fact) or Refund(payment=payment, amount=fact.amount)
    risen = refund._state.adding or Refund.RANK[fact.status] > Refund.RANK[refund.status]
    if not risen and refund.external_id is not None:
        return
    refund.external_id = fact.external_id
    if risen:
        refund.status = fact.status
    if refund.status in Refund.COUNTS:
        refund.counted_at = refund.counted_at or now
    refund.save()
    if risen and refund.status == Refund.Status.SUCCEEDED:
        audit.record(
            actor=refund.by,
            action=AuditAction.REFUND_SUCCEEDED,
            target=refund,
            amount=refund.amount,
            currency=payment.currency,
        )


def _known_refund(payment: Payment, fact: RefundSnapshot) -> Refund | None:
    """Our row of a refund: by the gateway's id, or, while we have not heard it, by our own key."""
    for refund in payment.refunds.all():
        if fact.external_id == refund.external_id:
            return refund
        if refund.external_id is None and fact.key == refund.key:
            return refund
    return None


def _disposition(payment: Payment) -> str:
    """Exactly one payment pays an order or invoice, and only with the agreed amount.

    Nobody pays twice for one thing: neither by a second payment of the order, nor by an order of a
    film that they have bought, nor by a subscription beside one that is active.
    """
    due = payment.order or payment.invoice
    if due is None or (payment.captured, payment.currency) != (due.amount, due.currency):
        logger.error("Payment %s pays nothing we know of; it is in suspense.", payment.pk)
        return Payment.Disposition.UNMATCHED
    bought = _bought_order(due) if isinstance(due, Order) else _paid_invoice(due)
    if bought:
        logger.error("Payment %s pays what was paid already; it is in suspense.", payment.pk)
        return Payment.Disposition.UNMATCHED
    return Payment.Disposition.APPLIED


def _bought_order(order: Order) -> bool:
    """Has this film been paid for? Locks all orders of the buyer for it, in one order."""
    pair = Order.objects.filter(buyer_id=order.buyer_id, video_id=order.video_id)
    locked = list(pair.select_for_update().order_by("pk"))
    return (
        any(other.status in Order.BOUGHT for other in locked)
        or order.payments.filter(disposition=Payment.Disposition.APPLIED).exists()
    )


def _paid_invoice(invoice: Invoice) -> bool:
    """Has this invoice, or a subscription beside its own, been paid for? Locks the user's."""
    user_id = invoice.subscription.user_id
    locked = list(Subscription.objects.filter(user_id=user_id).select_for_update().order_by("pk"))
    beside = (s for s in locked if s.pk != invoice.subscription_id)
    return (
        any(other.status == Subscription.Status.ACTIVE for other in beside)
        or invoice.payments.filter(disposition=Payment.Disposition.APPLIED).exists()
    )


def _payer(payment: Payment):
    if payment.order is not None:
        return payment.order.buyer
    return payment.invoice.subscription.user if payment.invoice is not None else None
