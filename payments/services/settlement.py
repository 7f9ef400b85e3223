"""From what the gateway says to what we hold true: the one way in for every payment fact."""

import logging

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways
from payments.gateways.base import PaymentSnapshot
from payments.models import Invoice, Order, Payment, Refund
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
        _merge(payment, snapshot)
        payment_facts_changed.send(sender=Payment, payment=payment)
    return payment


def refunded(payment: Payment) -> int:
    """What has been given back of a payment, in minor units."""
    counting = payment.refunds.filter(status__in=Refund.COUNTS)
    return counting.aggregate(total=Sum("amount"))["total"] or 0


def _merge(payment: Payment, snapshot: PaymentSnapshot) -> None:
    if _STATUS_RANK[snapshot.status] > _STATUS_RANK[payment.status]:
        payment.status = snapshot.status
    if snapshot.captured > payment.captured:
        payment.captured = snapshot.captured
        payment.captured_at = payment.captured_at or timezone.now()
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
        _merge_refund(payment, fact)


def _merge_refund(payment: Payment, fact) -> None:
    refund, created = Refund.objects.get_or_create(
        payment=payment,
        external_id=fact.external_id,
        defaults={"amount": fact.amount, "status": fact.status},
    )
    risen = not created and Refund.RANK[fact.status] > Refund.RANK[refund.status]
    if risen:
        refund.status = fact.status
        refund.save(update_fields=["status"])
    if (created or risen) and refund.status == Refund.Status.SUCCEEDED:
        audit.record(
            actor=refund.by,
            action=AuditAction.REFUND_SUCCEEDED,
            target=refund,
            amount=refund.amount,
            currency=payment.currency,
        )


def _disposition(payment: Payment) -> str:
    """Exactly one payment pays an order or invoice, and only with the agreed amount."""
    due = payment.order or payment.invoice
    if due is None or (payment.captured, payment.currency) != (due.amount, due.currency):
        logger.error("Payment %s pays nothing we know of; it is in suspense.", payment.pk)
        return Payment.Disposition.UNMATCHED
    rivals = type(due)._default_manager.select_for_update().get(pk=due.pk).payments
    if rivals.filter(disposition=Payment.Disposition.APPLIED).exists():
        logger.error("Payment %s pays what was paid already; it is in suspense.", payment.pk)
        return Payment.Disposition.UNMATCHED
    return Payment.Disposition.APPLIED


def _payer(payment: Payment):
    if payment.order is not None:
        return payment.order.buyer
    return payment.invoice.subscription.user if payment.invoice is not None else None
