"""Fetching objects from their gateways, and what it means that a gateway has one no more.

Somebody has deleted it there, or the keys are those of another account. It will do nothing any more,
and money that has moved has moved. So each kind of object has an end, which every operation, the
follow-ups and the reconciliation get from here:

* a payment that was not captured is canceled: its order can be paid by a new attempt. One that was
  captured stays as it is known, and an undecided dispute of it ends DISPUTE_OVER_AFTER;
* a checkout has expired: the next one is made when the payer asks for it;
* a subscription renews no more. It ends with the period that is paid, and at once if none is. Another
  can be bought before.

A gateway that answers for the object later, such as after the right keys were set, is believed again.
"""

from dataclasses import replace
from datetime import timedelta

from django.utils import timezone

from payments import gateways
from payments.gateways.base import (
    CheckoutSnapshot,
    CheckoutStatus,
    DisputeSnapshot,
    InvoiceSnapshot,
    NotThere,
    PaymentSnapshot,
    SubscriptionSnapshot,
)
from payments.models import Dispute, Invoice, Order, Payment, Subscription

Status = Subscription.Status
# Banks decide within 120 days. What the bank holds after that, it has kept.
DISPUTE_OVER_AFTER = timedelta(days=120)


def payment(gateway: str, external_id: str) -> PaymentSnapshot:
    """Return the state of a payment. Raises OSError, and NotThere for one that was never known here."""
    try:
        return gateways.by_name(gateway).fetch_payment(external_id)
    except NotThere:
        row = Payment.objects.filter(gateway=gateway, external_id=external_id).first()
        if row is None:
            raise
    captured = bool(row.captured)
    return PaymentSnapshot(
        external_id=external_id,
        amount=row.amount,
        currency=row.currency,
        captured=row.captured,
        status=Payment.Status.CAPTURED if captured else Payment.Status.CANCELED,
        order_id=str(row.order_id or ""),
        invoice_id=(row.invoice.external_id or "") if row.invoice else "",
        disputes=tuple(
            DisputeSnapshot(
                external_id=dispute.external_id,
                amount=dispute.amount,
                withdrawn=dispute.withdrawn,
                reinstated=dispute.reinstated,
                status=Dispute.Status.LOST if dispute.withdrawn else Dispute.Status.CLOSED,
            )
            for dispute in row.disputes.filter(
                status__in=Dispute.OPEN, created_at__lte=timezone.now() - DISPUTE_OVER_AFTER
            )
        ),
    )


def checkout(gateway: str, external_id: str) -> CheckoutSnapshot:
    """Return the state of a checkout. Raises OSError, and NotThere for one that was never known here."""
    try:
        return gateways.by_name(gateway).fetch_checkout(external_id)
    except NotThere:
        ours = {"gateway": gateway, "checkout_id": external_id}
        if not any(model.objects.filter(**ours).exists() for model in (Order, Subscription)):
            raise
    return CheckoutSnapshot(external_id, "", CheckoutStatus.EXPIRED)


def subscription(row: Subscription, external_id: str) -> SubscriptionSnapshot:
    """Return the state of a subscription that its gateway knows or has known. Raises OSError."""
    try:
        return gateways.by_name(row.gateway).fetch_subscription(external_id)
    except NotThere:
        known = SubscriptionSnapshot(
            external_id=external_id,
            reference=str(row.pk),
            plan_code=row.plan.code,
            status=Status(row.status),
            period_start=row.period_start,
            period_end=row.period_end,
            cancel_at_period_end=True,
            is_gone=True,
        )
    if row.status not in Subscription.LIVE:
        return known
    is_paid = row.status in {Status.TRIALING, Status.ACTIVE}
    if is_paid and row.period_end is not None and row.period_end > timezone.now():
        return known
    if row.status == Status.INCOMPLETE:
        ended = Status.INCOMPLETE_EXPIRED
    else:
        ended = Status.CANCELED if row.cancel_at_period_end else Status.EXPIRED
    unpaid = tuple(
        InvoiceSnapshot(
            external_id=invoice.external_id or "",
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            amount=invoice.amount,
            currency=invoice.currency,
            status=Invoice.Status.VOID,
        )
        for invoice in row.invoices.filter(status=Invoice.Status.OPEN)
    )
    return replace(known, status=ended, ended_at=timezone.now(), invoices=unpaid)
