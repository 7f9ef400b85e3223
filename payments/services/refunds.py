"""Giving money back."""

import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from config import money
from config.errors import NotVisible
from payments import gateways
from payments.errors import (
    GatewayUnavailable,
    NothingToRefund,
    RefundInProgress,
    RefundTooLarge,
)
from payments.gateways.base import RefundRefused
from payments.models import Order, Payment, Refund
from payments.services.settlement import refunded, sync_payment

UNHEARD_AFTER = timedelta(minutes=1)


def refund_order(*, order_id: uuid.UUID, amount: int | None, reason: str, actor) -> Order:
    """Give back ``amount`` minor units of a paid order, or all that is left of it.

    A full refund takes the split back and ends the right to watch, playback included, in one
    transaction. Raises NothingToRefund, RefundTooLarge; no money has moved then. A refund whose
    outcome nobody heard is asked for again first, with its own key; when it is what this call wants
    too, that is all: repeating a call whose answer was lost gives the money back once.
    """
    while True:
        payment, refund, is_wanted = _reserve(order_id, amount, reason, actor)
        _carry_out(payment, refund)
        if is_wanted:
            return Order.objects.get(pk=order_id)


def _carry_out(payment: Payment, refund: Refund) -> None:
    gateway = gateways.by_name(payment.gateway)
    try:
        gateway.refund(external_id=payment.external_id, amount=refund.amount, key=refund.key)
    except RefundRefused as error:
        Refund.objects.filter(pk=refund.pk, status=Refund.Status.REQUESTED).update(
            status=Refund.Status.CANCELED
        )
        # It knows of refunds that we have not heard of.
        sync_payment(gateway=payment.gateway, external_id=payment.external_id)
        raise RefundTooLarge(f"The gateway refuses this refund: {error}.") from None
    except OSError as error:
        raise GatewayUnavailable() from error
    sync_payment(gateway=payment.gateway, external_id=payment.external_id)


@transaction.atomic
def _reserve(
    order_id: uuid.UUID, amount: int | None, reason: str, actor
) -> tuple[Payment, Refund, bool]:
    """A refund to ask for, under the payment's lock: two at once never exceed the capture.

    The last value tells whether it is the one that the caller wants.
    """
    if not Order.objects.filter(pk=order_id).exists():
        raise NotVisible()
    payment = (
        Payment.objects.select_for_update()
        .filter(order_id=order_id, disposition=Payment.Disposition.APPLIED)
        .first()
    )
    if payment is None:
        raise NothingToRefund()
    # A process died between asking the gateway and hearing its answer: ask again, with the same key.
    unheard = payment.refunds.filter(
        status=Refund.Status.REQUESTED, created_at__lt=timezone.now() - UNHEARD_AFTER
    ).first()
    if unheard is not None:
        return payment, unheard, amount in (None, unheard.amount)
    asked = sum(
        payment.refunds.filter(status=Refund.Status.REQUESTED).values_list("amount", flat=True)
    )
    left = payment.captured - refunded(payment) - asked
    if left <= 0 and asked:
        raise RefundInProgress()
    if left <= 0:
        raise NothingToRefund()
    wanted = left if amount is None else amount
    if wanted > left:
        shown = money.to_text(left, payment.currency)
        raise RefundTooLarge(f"Only {shown} {payment.currency} are left of this payment.")
    refund = Refund.objects.create(payment=payment, amount=wanted, reason=reason, by=actor)
    return payment, refund, True
