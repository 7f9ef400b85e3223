"""Pre-orders: bought before the video can be watched, and given back when the promise is not kept.

An order that is made before the video's ``publish_at`` keeps that moment as ``available_from``. Until
then it gives no playback, and no creator is paid from it (`split.hold_until_due`).
"""

import logging
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from config import ordered
from payments import errors
from payments.errors import NothingToRefund
from payments.models import Order, Refund
from payments.services.buying import orders
from videos.models import Video

logger = logging.getLogger(__name__)

# A gateway that refuses or is away is asked again after this time.
REPEAT_AFTER = timedelta(hours=1)
AT_ONCE = 100  # refunds of one call
# What may be over within the hour: the next call asks again.
_PASSES = (
    errors.Disputed,
    errors.RefundInProgress,
    errors.GatewayUnavailable,
    errors.PaymentsClosed,
)


def promised(video: Video, kind: str, now: datetime) -> datetime | None:
    """Return the moment from which an order of now can be watched; None for one that is no pre-order."""
    is_coming = video.publish_at is not None and video.publish_at > now
    return video.publish_at if kind == Order.Kind.BUY and is_coming else None


def settle() -> int:
    """Note the pre-orders whose day has come, and give the broken ones back; return how many were.

    A promise is broken when the video's date is later than the order's, when the video was deleted or
    taken down before it could be watched, or is private on the day. All money that is left goes back by
    the refund that administrators have, once: the worker that takes an order leaves a note in its row,
    and the refund has one key. Call it outside of any transaction. Safe to repeat.
    """
    now = timezone.now()
    waiting = Order.objects.filter(
        status=Order.Status.PAID, available_from__isnull=False, fulfilled_at=None
    )
    kept = waiting.filter(available_from__lte=now).exclude(_is_broken(now))
    ordered.update(kept, fulfilled_at=now)
    return sum(_give_back(order, now) for order in _due(waiting.filter(_is_broken(now)), now))


def _is_broken(now: datetime) -> Q:
    return (
        Q(video__deleted_at__isnull=False)
        | Q(video__taken_down_at__isnull=False)
        | Q(video__publish_at__gt=F("available_from"))
        | Q(video__visibility=Video.Visibility.PRIVATE, available_from__lte=now)
    )


def _due(broken: QuerySet[Order], now: datetime) -> QuerySet[Order]:
    """Return the broken orders that nobody has tried to give back lately, the oldest first."""
    lately = Q(returning_at__gt=now - REPEAT_AFTER)
    return broken.exclude(lately).order_by("available_from", "pk")[:AT_ONCE]


def _give_back(order: Order, now: datetime) -> bool:
    """Give an order's money back, unless another worker does; return whether the gateway was asked."""
    mine = Order.objects.filter(pk=order.pk, returning_at=order.returning_at)
    if not mine.update(returning_at=now):
        return False
    try:
        orders.give_back(
            order_id=order.pk,
            amount=None,
            reason=Refund.NOT_KEPT,
            actor=None,
            key=f"preorder:{order.pk}",
        )
    except _PASSES as reason:
        logger.warning("Pre-order %s is given back later: %s", order.pk, reason)
    except NothingToRefund:
        return False  # its money has just gone back
    except errors.RefundTooLarge as reason:
        logger.error("The gateway does not give pre-order %s back: %s", order.pk, reason)
    return True
