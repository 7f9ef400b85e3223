"""Buying a film."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import money
from payments import gateways
from payments.errors import (
    AlreadyOwned,
    CardDeclined,
    CoveredBySubscription,
    CurrencyUnsupported,
    GatewayUnavailable,
    NotForSale,
    OrderNotOpen,
    OwnVideo,
    PaymentMethodUnknown,
    PriceChanged,
    VideoNotFound,
)
from payments.gateways.base import Declined, MethodUnknown
from payments.models import Entitlement, Order
from payments.services.settlement import sync_payment
from videos.models import Video


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks for."""

    kind: str = "buy"
    currency: str | None = None
    expected_amount: Decimal | None = None
    force: bool = False


def purchase(
    *, buyer, video_id: uuid.UUID, wish: Wish, payment_method: str = ""
) -> tuple[Order, bool]:
    """The buyer's order for a film, paid at once when a payment method is given.

    Returns the order and whether this call made it; repeating the call goes on with the open order.
    Two calls at once make one order, one capture and one entitlement: the order is unique in the
    database, and the gateway's idempotency key derives from it.
    """
    order, created = _open_order(buyer, video_id, wish)
    if payment_method and order.status in Order.OPEN:
        order = pay(order=order, payment_method=payment_method)
    return order, created


def pay(*, order: Order, payment_method: str) -> Order:
    """Charge an open order. Raises CardDeclined; the order then stays open for another card.

    While the outcome is unknown the order is PROCESSING: it neither expires nor can be canceled,
    and the next call asks the gateway again with the same key, so the money is found.
    """
    _begin_charge(order)
    if order.status in Order.BOUGHT:
        return order  # somebody was faster
    gateway = gateways.by_name(order.gateway)
    try:
        charge = gateway.charge(
            amount=order.amount,
            currency=order.currency,
            payment_method=payment_method,
            key=f"order:{order.pk}:{order.attempt}",
        )
    except Declined as declined:
        _note_decline(order, declined)
        raise CardDeclined(declined.decline_code) from None
    except MethodUnknown:
        _reopen(order)
        raise PaymentMethodUnknown() from None
    except OSError as error:
        raise GatewayUnavailable() from error
    sync_payment(gateway=gateway.name, external_id=charge.external_id, order=order)
    order.refresh_from_db(fields=["status", "attempt", "paid_at"])
    return order


def _begin_charge(order: Order) -> None:
    if order.status == Order.Status.PENDING and order.video.deleted_at is not None:
        raise VideoNotFound()
    begun = Order.objects.filter(
        Q(status=Order.Status.PROCESSING)
        | Q(status=Order.Status.PENDING, expires_at__gt=timezone.now()),
        pk=order.pk,
    ).update(status=Order.Status.PROCESSING)
    order.refresh_from_db(fields=["status", "attempt", "paid_at"])
    if not begun and order.status not in Order.BOUGHT:
        raise OrderNotOpen()


def _reopen(order: Order, **fields) -> None:
    Order.objects.filter(pk=order.pk, attempt=order.attempt, status=Order.Status.PROCESSING).update(
        status=Order.Status.PENDING, **fields
    )


@transaction.atomic
def _note_decline(order: Order, declined: Declined) -> None:
    # The next attempt gets a key of its own: this one's answer is final.
    _reopen(order, attempt=F("attempt") + 1)
    audit.record(
        actor=order.buyer,
        action=AuditAction.PAYMENT_DECLINED,
        target=order,
        decline_code=declined.decline_code,
    )


def _open_order(buyer, video_id: uuid.UUID, wish: Wish) -> tuple[Order, bool]:
    video = Video.objects.visible_to(buyer).filter(pk=video_id).first()
    if video is None:
        raise VideoNotFound()
    _check_wish(buyer, video, wish)
    for _ in range(3):
        order = _live_order(buyer, video)
        if order is not None:
            return order, False
        try:
            return _create_order(buyer, video), True
        except IntegrityError:
            continue  # somebody was faster: theirs is the order
    raise GatewayUnavailable()


def _check_wish(buyer, video: Video, wish: Wish) -> None:
    if video.creator_id == buyer.pk:
        raise OwnVideo()
    if not video.is_paid or wish.kind != "buy":
        raise NotForSale()
    if wish.currency and wish.currency != video.currency:
        raise CurrencyUnsupported()
    if wish.expected_amount is not None:
        price = Decimal(money.to_text(video.price, video.currency))
        if wish.expected_amount != price:
            raise PriceChanged(str(price), video.currency)
    held = Entitlement.objects.live().filter(user=buyer)
    if held.filter(video=video).exists():
        raise AlreadyOwned()
    if not wish.force and held.filter(video=None).exists():
        raise CoveredBySubscription()


def _live_order(buyer, video: Video) -> Order | None:
    order = Order.objects.filter(buyer=buyer, video=video, status__in=Order.LIVE).first()
    if order is None:
        return None
    if order.status in Order.BOUGHT:
        raise AlreadyOwned()
    if order.status == Order.Status.PROCESSING:
        return order
    stale = (order.list_amount, order.currency) != (video.price, video.currency)
    if stale or order.expires_at <= timezone.now():
        # Nobody pays a price that is no longer shown.
        Order.objects.filter(pk=order.pk, status=Order.Status.PENDING).update(
            status=Order.Status.EXPIRED
        )
        return None
    return order


@transaction.atomic
def _create_order(buyer, video: Video) -> Order:
    order = Order.objects.create(
        buyer=buyer,
        video=video,
        creator_id=video.creator_id,
        list_amount=video.price,
        amount=video.price,
        currency=video.currency,
        fee_bps=settings.PLATFORM_FEE_BPS,
        gateway=gateways.current().name,
        expires_at=timezone.now() + timedelta(minutes=settings.ORDER_TTL_MINUTES),
    )
    audit.record(
        actor=buyer,
        action=AuditAction.ORDER_CREATED,
        target=order,
        amount=order.amount,
        currency=order.currency,
        video=str(video.pk),
    )
    return order
