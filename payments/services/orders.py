"""An order's status, as it follows from its payments."""

import logging

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments.errors import OrderNotOpen
from payments.models import Order, Payment
from payments.services import access
from payments.services.settlement import refunded
from payments.signals import order_paid

logger = logging.getLogger(__name__)

Status = Order.Status


def follow_payment(payment: Payment) -> None:
    """Bring the order to what its applied payment says: paid, or refunded in full."""
    if payment.order_id is None or payment.disposition != Payment.Disposition.APPLIED:
        return
    order = Order.objects.select_for_update().get(pk=payment.order_id)
    status = Status.REFUNDED if refunded(payment) >= payment.captured else Status.PAID
    if order.status == status:
        return
    if status == Status.PAID and not _make_room(order):
        return
    before, order.status = order.status, status
    order.paid_at = order.paid_at or payment.captured_at
    order.save(update_fields=["status", "paid_at"])
    access.follow_order(order)
    if status == Status.REFUNDED:
        audit.record(actor=None, action=AuditAction.ORDER_REFUNDED, target=order)
    elif before != Status.REFUNDED:
        audit.record(actor=order.buyer, action=AuditAction.ORDER_PAID, target=order)
        order_paid.send(sender=Order, order=order)


def _make_room(order: Order) -> bool:
    """Money that came late is real: what was opened in the meantime gives way to it.

    False when the buyer has bought the film again: somebody must look.
    """
    rivals = Order.objects.filter(buyer_id=order.buyer_id, video_id=order.video_id).exclude(
        pk=order.pk
    )
    if rivals.filter(status__in=Order.BOUGHT).exists():
        logger.error("Order %s is paid beside another of the same film.", order.pk)
        return False
    rivals.filter(status__in=Order.OPEN).update(status=Status.EXPIRED)
    return True


@transaction.atomic
def cancel_order(*, order: Order, actor) -> Order:
    """Give up an order that nobody is paying. Raises OrderNotOpen for any other."""
    changed = Order.objects.filter(pk=order.pk, status=Status.PENDING).update(
        status=Status.CANCELED
    )
    if not changed:
        raise OrderNotOpen()
    order.refresh_from_db(fields=["status"])
    audit.record(actor=actor, action=AuditAction.ORDER_CANCELED, target=order)
    return order


def expire_orders() -> int:
    """Orders that nobody paid in time. Money that still comes makes them paid all the same."""
    return Order.objects.filter(status=Status.PENDING, expires_at__lt=timezone.now()).update(
        status=Status.EXPIRED
    )
