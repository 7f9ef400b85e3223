"""Giving money back."""

import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from config import money
from config.errors import NotVisible
from payments import gateways
from payments.errors import GatewayUnavailable, NothingToRefund, RefundTooLarge
from payments.gateways.base import RefundRefused
from payments.models import Order, Payment, Refund
from payments.services.settlement import refunded, sync_payment

UNHEARD_AFTER = timedelta(minutes=1)


def refund_order(*, order_id: uuid.UUID, amount: int | None, reason: str, actor) -> Order:
    """Give back ``amount`` minor units of a paid order, or all that is left of it.

    A full refund takes the split back and ends the right to watch, playback included, in one
    transaction. Raises NothingToRefund, RefundTooLarge; nothing has changed then.
    """
    payment, refund = _reserve(order_id, amount, reason, actor)
    gateway = gateways.by_name(payment.gateway)
    try:
        given = gateway.refund(
            external_id=payment.external_id, amount=refund.amount, key=f"refund:{refund.pk}"
        )
    except RefundRefused as error:
        Refund.objects.filter(pk=refund.pk).update(status=Refund.Status.CANCELED)
        raise RefundTooLarge(f"The gateway refuses this refund: {error}.") from None
    except OSError as error:
        raise GatewayUnavailable() from error
    Refund.objects.filter(pk=refund.pk, external_id=None).update(external_id=given.external_id)
    sync_payment(gateway=payment.gateway, external_id=payment.external_id)
    return Order.objects.get(pk=order_id)


@transaction.atomic
def _reserve(order_id: uuid.UUID, amount: int | None, reason: str, actor) -> tuple[Payment, Refund]:
    """A refund that was asked for, under the payment's lock: two at once never exceed the capture."""
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
        return payment, unheard
    asked = sum(
        payment.refunds.filter(status=Refund.Status.REQUESTED).values_list("amount", flat=True)
    )
    left = payment.captured - refunded(payment) - asked
    if left <= 0:
        raise NothingToRefund()
    wanted = left if amount is None else amount
    if wanted > left:
        shown = money.to_text(left, payment.currency)
        raise RefundTooLarge(f"Only {shown} {payment.currency} are left of this payment.")
    refund = Refund.objects.create(payment=payment, amount=wanted, reason=reason, by=actor)
    return payment, refund
