"""Returning: a buyer gives a bought or rented video back for a refund, without an administrator."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from payments import idempotency, locks
from payments.errors import (
    NothingToRefund,
    PlaybackRunning,
    RefundLimitReached,
    RefundWindowClosed,
    ReturnInProgress,
    WatchedTooMuch,
)
from payments.models import Order, Refund
from payments.services.settling import refunds
from payments.services.sharing import watchtime
from payments.signals import order_returning

ONE_RETURN = "§return of a video"
LIMIT_PERIOD = timedelta(days=30)
# Statuses of a paid order of which money may be left: all of it, what the buyer's bank has left, or the
# money of an order beside which the buyer has bought the video again.
RETURNABLE = (Order.Status.PAID, Order.Status.DISPUTE_LOST, Order.Status.SUPERSEDED)

# What `refund_own` can raise, for the API document.
REFUSALS = (
    RefundWindowClosed, RefundLimitReached, WatchedTooMuch, PlaybackRunning, ReturnInProgress,
    *refunds.REFUSALS,
)  # fmt: skip


def refund_own(*, order: Order, key: str = "") -> Order:
    """Refund an order at the buyer's own request with all that is left of it, and stop its playback.

    It must be paid, or a pre-order be available, less than REFUND_WINDOW_DAYS ago, and no more than
    REFUND_WATCHED_PERCENT of the video may have been watched or delivered. A buyer can return a video
    REFUNDS_PER_VIDEO times, and REFUNDS_PER_30_DAYS videos in that time. One rule for every status in
    which money may be left (RETURNABLE); an order of another status has none. Call it outside of any
    transaction.

    Raises RefundWindowClosed, RefundLimitReached, WatchedTooMuch, PlaybackRunning, ReturnInProgress
    while another return of the buyer is under way, and the errors of `refunds.refund_order`.
    """
    if order.paid_at is None:
        raise NothingToRefund("This order is not paid, so there is no money to give back.")
    if not order.amount:
        raise NothingToRefund("This order cost nothing, so there is no money to give back.")
    window = timedelta(days=settings.REFUND_WINDOW_DAYS)
    # Of a pre-order, the days count from the moment from which it can be watched.
    if max(order.paid_at, order.available_from or order.paid_at) + window <= timezone.now():
        raise RefundWindowClosed()
    # The wait for what was sent holds a thread: one for each buyer.
    with idempotency.one_at_a_time(order.buyer, ONE_RETURN, ReturnInProgress()):
        return _refund_own(order, key)


def _refund_own(order: Order, key: str) -> Order:
    is_checked = order.status in RETURNABLE
    if is_checked:
        _check_limits(order)
        _check_use(order)

    def check() -> None:
        if not is_checked:  # its money came back while this call was under way
            raise NothingToRefund("This order has just changed. See its status, then try again.")
        _check_limits(order, is_queued=True)

    return refunds.refund_order(
        order_id=order.pk,
        amount=None,
        reason=Refund.BY_BUYER,
        actor=order.buyer,
        key=key,
        check=check,
    )


def _check_limits(order: Order, *, is_queued: bool = False) -> None:
    """Refuse a buyer who has returned too much. Raises RefundLimitReached.

    ``is_queued`` lets the buyer's refunds pass one after the other: two at once then never exceed a
    limit. It needs a transaction, with the order's payment locked.
    """
    if is_queued:
        locks.lock_orders_by(order.buyer_id)
    own = (
        Refund.objects.filter(
            by=order.buyer_id,
            payment__order__buyer=order.buyer_id,
            status__in=[Refund.Status.REQUESTED, *Refund.COUNTS],
        )
        .exclude(payment__order=order.pk)
        .order_by()
    )
    of_video = own.filter(payment__order__video=order.video_id)
    if of_video.count() >= settings.REFUNDS_PER_VIDEO:
        raise RefundLimitReached()
    lately = own.filter(created_at__gt=timezone.now() - LIMIT_PERIOD)
    if lately.values("payment__order").distinct().count() >= settings.REFUNDS_PER_30_DAYS:
        raise RefundLimitReached(
            f"You have returned {settings.REFUNDS_PER_30_DAYS} videos within 30 days. Try again later,"
            " or ask the operator."
        )


def _check_use(order: Order) -> None:
    """Refuse an order whose video was used too much: by heartbeats, or by the bytes that were sent.

    What was sent for other orders of the video counts too if their money went back, by a refund or by
    the buyer's bank. Raises WatchedTooMuch, PlaybackRunning.
    """
    gone_back = Order.objects.filter(
        buyer=order.buyer_id, video=order.video_id, status__in=Order.GONE_BACK
    )
    answers = order_returning.send(
        sender=Order,
        video=order.video,
        order_ids=[order.pk, *gone_back.values_list("pk", flat=True)],
    )
    delivered = [float(share or 0) for _, share in answers]
    used = max([watchtime.watched_share(order), *delivered])
    if used * 100 > settings.REFUND_WATCHED_PERCENT:
        raise WatchedTooMuch()
