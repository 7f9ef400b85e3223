"""The status of orders: set from their payments, and changed by buyers, administrators and time."""

import logging
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import rows
from payments import locks
from payments.errors import (
    NothingToRefund,
    OrderNotOpen,
    RefundTooLarge,
)
from payments.models import JournalEntry, Order, Payment
from payments.services import access
from payments.services.offers import coupons
from payments.services.settling import refunds, split
from payments.services.settling.facts import GIVEN_UP, UNDER_WAY
from payments.signals import order_paid, order_refunded
from videos.models import Video

logger = logging.getLogger(__name__)
Status = Order.Status


def update_from_payment(
    payment: Payment,
    orders: Mapping[uuid.UUID, Order] | None = None,
    *,
    kind: str = JournalEntry.Kind.ADJUSTMENT,
    at: datetime | None = None,
) -> None:
    """Set the status of a payment's order: paid, refunded in full, disputed or lost. Safe to repeat.

    A payment that does not pay its order only decides whether the order waits for another card.
    ``kind`` is the fact that has changed and ``at`` the moment of its journal entry: an order is paid
    in the period in which its money is booked. The entitlement and the coupon follow, and the signals
    `order_paid` and `order_refunded` are sent on a real transition. ``orders`` are all orders of the
    buyer for the video, if the caller holds their locks; they are locked here otherwise.
    """
    order = payment.order
    if order is None:
        return
    if orders is None:
        orders = locks.lock_orders_of(buyer_id=order.buyer_id, video_id=order.video_id)
        order = orders[order.pk]
    if payment.disposition != Payment.Disposition.APPLIED:
        _update_while_unpaid(order, payment.status, kind)
        return
    rivals = [other for other in orders.values() if other.pk != order.pk]
    status = _status_from_payment(payment)
    # A superseded order stays so until its money is refunded: the buyer has bought the video again.
    stays = order.status == status or (
        order.status == Status.SUPERSEDED and status != Status.REFUNDED
    )
    if stays and order.paid_at is not None:
        is_refund = kind == JournalEntry.Kind.REFUND and status != Status.REFUNDED
        if is_refund and payment.refundable() <= 0:  # the rest, which the buyer's bank had left
            _announce_refund(order)
        return
    superseded: list[Order] = []
    if status in Order.BOUGHT:
        if _is_bought_by_another(order, rivals):
            logger.error("Order %s is paid beside another of the same video.", order.pk)
            order.status = Status.SUPERSEDED
            order.save(update_fields=["status"])
            audit.record(actor=order.buyer_id, action=AuditAction.ORDER_SUPERSEDED, target=order)
            access.update_for_order(order)
            return
        superseded = _supersede_rivals(order, rivals)
    before, order.status = order.status, status
    order.paid_at = order.paid_at or at or payment.captured_at
    rows.save(order, "status", "paid_at")
    coupons.update_redemptions(order, *superseded)
    access.update_for_order(order)
    if status == Status.REFUNDED:
        _announce_refund(order)
    elif status == Status.PAID and before not in Order.GONE_BACK:
        audit.record(actor=order.buyer_id, action=AuditAction.ORDER_PAID, target=order)
        order_paid.send(sender=Order, order=order)


def _announce_refund(order: Order) -> None:
    audit.record(actor=None, action=AuditAction.ORDER_REFUNDED, target=order)
    order_refunded.send(sender=Order, order=order)


def _status_from_payment(payment: Payment) -> Status:
    """Return the status of the order that the payment pays."""
    return Order.status_when_paid(
        captured=payment.captured,
        refunded=payment.refunded(),
        disputed=payment.disputed(),
        is_undecided=payment.has_undecided_dispute(),
        is_lost=payment.has_lost_dispute(),
    )


def _update_while_unpaid(order: Order, payment_status: str, kind: str) -> None:
    """Keep a locked order PROCESSING while a payment is under way; reopen it when the payment fails.

    Only the news of the failure itself (``kind`` is "failed") reopens it, because later news of the
    same payment says nothing about the next one. A captured payment that does not pay the order, such
    as one of another amount, reopens it too: it is sent back, and another card can pay.
    """
    if payment_status in UNDER_WAY:
        if order.status == Status.PENDING:
            order.status = Status.PROCESSING
            order.save(update_fields=["status"])
    elif (
        kind in {"failed", JournalEntry.Kind.CAPTURE}
        and order.status == Status.PROCESSING
        and not order.payments.filter(status__in=UNDER_WAY).exists()
    ):
        order.status = Status.PENDING
        order.attempt += 1  # the gateway's answer to this key is final: the next one needs another
        order.save(update_fields=["status", "attempt"])


def _lock_with_rivals(order: Order) -> tuple[Order, list[Order]]:
    """Lock an order and its buyer's other orders of the video, all at once; return them as they are."""
    orders = locks.lock_orders_of(buyer_id=order.buyer_id, video_id=order.video_id)
    return orders.pop(order.pk), list(orders.values())


def _is_bought_by_another(order: Order, rivals: list[Order]) -> bool:
    """Tell whether the buyer has bought the video for good with another order than this one."""
    return order.kind == Order.Kind.BUY and any(
        rival.status in Order.BOUGHT and rival.kind == Order.Kind.BUY for rival in rivals
    )


def _supersede_rivals(order: Order, rivals: list[Order]) -> list[Order]:
    """Make room for a paid order: mark the buyer's open orders of the video as superseded.

    A rental supersedes only rentals. Returns all superseded rivals; the caller updates their coupons.
    """
    for rival in rivals:
        gives_way = order.kind == Order.Kind.BUY or rival.kind == Order.Kind.RENT
        if rival.status in Order.OPEN and gives_way:
            rival.status = Status.SUPERSEDED
            rival.save(update_fields=["status"])
            audit.record(
                actor=order.buyer_id,
                action=AuditAction.ORDER_SUPERSEDED,
                target=rival,
                by=str(order.pk),
            )
    return [rival for rival in rivals if rival.status == Status.SUPERSEDED]


@transaction.atomic
def complete_free(order: Order) -> Order:
    """Mark an open order that costs nothing as paid, without a gateway, and return it.

    An order that is not open, or costs something, is returned as it is. Safe to repeat.
    """
    order, rivals = _lock_with_rivals(order)
    if order.status not in Order.OPEN or order.amount:
        return order
    superseded = _supersede_rivals(order, rivals)
    now = timezone.now()
    order.status, order.paid_at = Status.PAID, now
    order.save(update_fields=["status", "paid_at"])
    split.book_gift(order, at=now)
    coupons.update_redemptions(order, *superseded)
    access.update_for_order(order)
    audit.record(actor=order.buyer_id, action=AuditAction.ORDER_PAID, target=order)
    order_paid.send(sender=Order, order=order)
    return order


def give_back(
    *, order_id: uuid.UUID, amount: int | None, reason: str, actor: User | None, key: str = ""
) -> Order:
    """Take an order back: refund its money, or revoke it if it cost nothing.

    ``actor`` is an administrator, or None for the service itself.
    ``amount`` is in minor units; None gives back all that is left. A free order can only be taken back
    as a whole. Raises what `refunds.refund_order` raises.
    """
    if not Order.objects.filter(pk=order_id, amount=0).exists():
        return refunds.refund_order(
            order_id=order_id, amount=amount, reason=reason, actor=actor, key=key
        )
    if amount is not None:
        raise RefundTooLarge("This order cost nothing. Leave the amount out to take it back.")
    return _revoke_free(order_id, reason=reason, actor=actor)


@transaction.atomic
def _revoke_free(order_id: uuid.UUID, *, reason: str, actor: User | None) -> Order:
    """Take a free order back: REFUNDED, its split reversed, its entitlement revoked.

    The coupon's use stays used, as it does after every refund: otherwise one coupon could be used again
    and again. Raises NothingToRefund for an order that is not paid, so that a repeat changes nothing.
    """
    order = locks.lock_orders([order_id])[order_id]
    if order.status == Status.REFUNDED:
        raise NothingToRefund("This order cost nothing, and was taken back already.")
    if order.status != Status.PAID:
        raise NothingToRefund("This order gives no access, so there is nothing to take back.")
    order.status = Status.REFUNDED
    order.save(update_fields=["status"])
    split.reverse_gift(order, at=timezone.now())
    access.update_for_order(order)
    audit.record(actor=actor, action=AuditAction.ORDER_REFUNDED, target=order, reason=reason)
    order_refunded.send(sender=Order, order=order)
    return order


@transaction.atomic
def cancel_order(*, order: Order, actor: User) -> Order:
    """Cancel an open order. Raises OrderNotOpen for an order that is not open or is being paid."""
    if not _close([order.pk], Status.CANCELED):
        raise OrderNotOpen()
    order.status = Status.CANCELED
    audit.record(actor=actor, action=AuditAction.ORDER_CANCELED, target=order)
    return order


def expire_orders() -> int:
    """Expire the open orders whose time to pay is over. Return how many were expired."""
    over = _closable_orders().filter(expires_at__lt=timezone.now())
    return sum(expire(order) for order in over)


def expire_orders_of(video: Video) -> None:
    """Expire the open orders of a lost video. `gateway_news.followups` closes their checkouts."""
    _close(_closable_orders().filter(video=video).values_list("pk", flat=True), Status.EXPIRED)


def expire_orders_of_user(user: User) -> None:
    """Expire the open orders of a deactivated user, and all open orders of the user's videos."""
    orders = _closable_orders().filter(Q(buyer=user) | Q(creator=user))
    _close(orders.values_list("pk", flat=True), Status.EXPIRED)


def expire_orders_of_creator(creator: User) -> None:
    """Expire all open orders of the videos of a suspended creator."""
    _close(_closable_orders().filter(creator=creator).values_list("pk", flat=True), Status.EXPIRED)


def expire(order: Order) -> bool:
    """Expire an open order. Return False if it is not open any more, or is being paid."""
    return bool(_close([order.pk], Status.EXPIRED))


@transaction.atomic
def _close(order_ids: Iterable[uuid.UUID], status: Status) -> int:
    """Give the closable ones of these orders their final status and release their coupons.

    Returns the number of orders that were closed. All are locked at once, by id.
    """
    closed = []
    for pk, order in locks.lock_orders(order_ids).items():
        if _closable_orders().filter(pk=pk).update(status=status):
            order.status = status
            closed.append(order)
    if status == Status.EXPIRED:  # who cancels an order is recorded by the caller
        audit.record_each(actor=None, action=AuditAction.ORDER_EXPIRED, targets=closed)
    coupons.update_redemptions(*closed)
    return len(closed)


def _closable_orders() -> QuerySet[Order]:
    """Return the open orders for which no money is on its way.

    A payment that still waits for the buyer's authentication keeps no order open. Money that is
    captured after the order was closed makes it paid all the same.
    """
    payments = Payment.objects.filter(order=OuterRef("pk"))
    waiting = payments.filter(status=Payment.Status.REQUIRES_ACTION)
    moving = payments.exclude(status__in=[Payment.Status.REQUIRES_ACTION, *GIVEN_UP])
    return Order.objects.filter(
        Q(status=Status.PENDING) | Q(Exists(waiting), ~Exists(moving), status=Status.PROCESSING)
    )
