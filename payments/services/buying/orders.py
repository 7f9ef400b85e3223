"""An order's status, as it follows from its payments."""

import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import locks
from payments.errors import (
    OrderNotOpen,
    RefundWindowClosed,
    WatchedTooMuch,
)
from payments.models import JournalEntry, Order, Payment
from payments.services import access
from payments.services.offers import coupons
from payments.services.settling import split
from payments.services.settling.facts import GIVEN_UP, UNDER_WAY
from payments.services.settling.refunds import refund_order
from payments.services.sharing import watchtime
from payments.signals import order_paid, order_refunded

logger = logging.getLogger(__name__)
Status = Order.Status


def update_from_payment(payment: Payment, *, kind: str = JournalEntry.Kind.ADJUSTMENT) -> None:
    """Bring the order to what its applied payment says: paid, disputed, or refunded in full."""
    if payment.order is None:
        return
    if payment.disposition != Payment.Disposition.APPLIED:
        _update_while_unpaid(payment, kind)
        return
    order, rivals = _lock_with_rivals(payment.order)
    status = _status_from_payment(payment)
    # What was refunded, bought again and then not refunded after all is for people to sort out.
    if order.status in {status, Status.SUPERSEDED} and order.paid_at is not None:
        return
    superseded: list[Order] = []
    if status in Order.BOUGHT:
        if _is_bought_by_another(order, rivals):
            _mark_superseded(order)
            return
        superseded = _supersede_rivals(order, rivals)
    before, order.status = order.status, status
    order.paid_at = order.paid_at or payment.captured_at
    order.save(update_fields=["status", "paid_at"])
    coupons.update_redemptions(order, *superseded)
    access.update_for_order(order)
    if status == Status.REFUNDED:
        audit.record(actor=None, action=AuditAction.ORDER_REFUNDED, target=order)
        order_refunded.send(sender=Order, order=order)
    elif status == Status.PAID and before not in {Status.REFUNDED, Status.DISPUTED}:
        audit.record(actor=order.buyer, action=AuditAction.ORDER_PAID, target=order)
        order_paid.send(sender=Order, order=order)


def _status_from_payment(payment: Payment) -> str:
    if payment.refunded() >= payment.captured:
        return Status.REFUNDED
    return Status.DISPUTED if payment.disputed() > 0 else Status.PAID


def _update_while_unpaid(payment: Payment, kind: str) -> None:
    """A payment under way keeps its order open; one that fails for good reopens it.

    Only at the moment it fails: later news of it says nothing about the payment that came after.
    """
    orders = Order.objects.filter(pk=payment.order_id)
    if payment.status in UNDER_WAY:
        orders.filter(status=Status.PENDING).update(status=Status.PROCESSING)
    elif kind == "failed":
        # The next attempt gets a key of its own: this one's answer is final.
        orders.filter(status=Status.PROCESSING).update(
            status=Status.PENDING, attempt=F("attempt") + 1
        )


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
    """Supersede the open orders beside a paid one: money that came late is real.

    A rental supersedes only rentals. Returns all superseded rivals; the caller updates their
    coupon redemptions.
    """
    for rival in rivals:
        gives_way = order.kind == Order.Kind.BUY or rival.kind == Order.Kind.RENT
        if rival.status in Order.OPEN and gives_way:
            rival.status = Status.SUPERSEDED
            rival.save(update_fields=["status"])
    return [rival for rival in rivals if rival.status == Status.SUPERSEDED]


def _mark_superseded(order: Order) -> None:
    logger.error("Order %s is paid beside another of the same video.", order.pk)
    order.status = Status.SUPERSEDED
    order.save(update_fields=["status"])
    access.update_for_order(order)


@transaction.atomic
def complete_free(order: Order) -> Order:
    """An order that costs nothing is paid as it stands, without any gateway."""
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
    audit.record(actor=order.buyer, action=AuditAction.ORDER_PAID, target=order)
    order_paid.send(sender=Order, order=order)
    return order


@transaction.atomic
def cancel_order(*, order: Order, actor) -> Order:
    """Give up an order that nobody is paying. Raises OrderNotOpen for any other."""
    changed = _closable_orders().filter(pk=order.pk).update(status=Status.CANCELED)
    if not changed:
        raise OrderNotOpen()
    order.refresh_from_db(fields=["status"])
    coupons.update_redemptions(order)
    audit.record(actor=actor, action=AuditAction.ORDER_CANCELED, target=order)
    return order


def expire_orders() -> int:
    """Orders that nobody paid in time. Money that still comes makes them paid all the same."""
    over = _closable_orders().filter(expires_at__lt=timezone.now())
    return sum(expire(order) for order in over)


def _closable_orders() -> QuerySet[Order]:
    """Open orders that no money is on its way for: what waits for the buyer's bank waits for them.

    Money that comes all the same is real, and makes them paid.
    """
    payments = Payment.objects.filter(order=OuterRef("pk"))
    waiting = payments.filter(status=Payment.Status.REQUIRES_ACTION)
    moving = payments.exclude(status__in=[Payment.Status.REQUIRES_ACTION, *GIVEN_UP])
    return Order.objects.filter(
        Q(status=Status.PENDING) | Q(Exists(waiting), ~Exists(moving), status=Status.PROCESSING)
    )


def expire_orders_of(video) -> None:
    """Close the open orders of a video that has been deleted; their pages are closed soon after."""
    _expire(_closable_orders().filter(video=video).values_list("pk", flat=True))


def expire(order: Order) -> bool:
    """Close an open order that nobody is paying; false when somebody was faster."""
    return bool(_expire([order.pk]))


@transaction.atomic
def _expire(order_ids: Iterable[uuid.UUID]) -> int:
    """Expire those of the orders that nobody is paying; return how many. All are locked at once."""
    expired = []
    for pk, order in locks.lock_orders(order_ids).items():
        if _closable_orders().filter(pk=pk).update(status=Status.EXPIRED):
            order.status = Status.EXPIRED
            expired.append(order)
    coupons.update_redemptions(*expired)
    return len(expired)


def refund_own(*, order: Order) -> Order:
    """What a buyer may do alone: all of it, soon after buying, and with most of it unseen.

    Raises RefundWindowClosed, WatchedTooMuch and what `refund_order` raises.
    """
    window = timedelta(days=settings.REFUND_WINDOW_DAYS)
    if order.paid_at is None or order.paid_at + window <= timezone.now():
        raise RefundWindowClosed()
    if watchtime.watched_share(order) * 100 > settings.REFUND_WATCHED_PERCENT:
        raise WatchedTooMuch()
    return refund_order(
        order_id=order.pk, amount=None, reason="asked for by the buyer", actor=order.buyer
    )
