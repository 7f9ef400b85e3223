"""Buying a video."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import money
from payments import gateways
from payments.errors import (
    AlreadyOwned,
    CoveredBySubscription,
    CurrencyUnsupported,
    GatewayUnavailable,
    NotForSale,
    OrderNotOpen,
    OwnVideo,
    PriceChanged,
    VideoNotFound,
)
from payments.gateways.base import Item
from payments.gateways.translation import translate_errors
from payments.models import Entitlement, Order
from payments.services.buying import orders
from payments.services.offers import coupons
from payments.services.settling import customers, payable
from payments.services.settling.facts import sync_payment
from payments.services.settling.payable import CheckoutRequest, NextAction
from videos.models import Video


@dataclass(frozen=True, slots=True)
class PurchaseOptions:
    """What a buyer asks for."""

    kind: str = "buy"
    currency: str | None = None
    expected_amount: Decimal | None = None
    even_if_covered: bool = False
    coupon: str = ""


def purchase(
    *,
    buyer,
    video_id: uuid.UUID,
    options: PurchaseOptions,
    payment_method: str = "",
    return_url: str = "",
) -> tuple[Order, bool]:
    """The buyer's order for a video, paid at once when a payment method is given or nothing is due.

    Returns the order and whether this call made it; repeating the call goes on with the open order.
    Two calls at once make one order, one capture and one entitlement: the order is unique in the
    database, and the gateway's idempotency key derives from it.
    """
    order, created = _get_or_create_order(buyer, video_id, options)
    if not order.amount:
        return orders.complete_free(order), created
    if payment_method and order.status in Order.OPEN:
        order = pay(order=order, payment_method=payment_method, return_url=return_url)
    return order, created


def pay(*, order: Order, payment_method: str, return_url: str = "") -> Order:
    """Charge an open order. Raises CardDeclined; the order then stays open for another card.

    While the outcome is unknown the order is PROCESSING: it neither expires nor can be canceled,
    and the next call asks the gateway again with the same key, so the money is found.
    """
    _mark_as_charging(order)
    if order.status in Order.BOUGHT:
        return order  # somebody was faster
    gateway = gateways.by_name(order.gateway)
    with payable.charging(order):
        charge = gateway.charge(
            amount=order.amount,
            currency=order.currency,
            payment_method=payment_method,
            reference=str(order.pk),
            customer=customers.known(order.buyer_id, gateway.name),
            key=order.charge_key,
            return_url=return_url,
        )
    sync_payment(gateway=gateway.name, external_id=charge.external_id, order=order)
    order.refresh_from_db(fields=["status", "attempt", "paid_at"])
    return order


def next_action(order: Order, *, return_url: str = "") -> NextAction | None:
    """Return the buyer's next step, or None. See `settling.payable.next_action`."""
    return payable.next_action(
        order,
        payments=order.payments.all(),
        request=lambda gateway: CheckoutRequest(
            Item(str(order.pk), order.video.title, order.amount, order.currency),
            customer=customers.known(order.buyer_id, gateway.name),
            expires_at=order.expires_at,
        ),
        return_url=return_url,
    )


def _mark_as_charging(order: Order) -> None:
    if order.status == Order.Status.PENDING and order.video.deleted_at is not None:
        raise VideoNotFound()
    begun = Order.objects.filter(
        Q(status=Order.Status.PROCESSING)
        | Q(status=Order.Status.PENDING, expires_at__gt=timezone.now()),
        pk=order.pk,
    ).update(status=Order.Status.PROCESSING, changed_at=timezone.now())
    order.refresh_from_db(fields=["status", "attempt", "paid_at"])
    if not begun and order.status not in Order.BOUGHT:
        raise OrderNotOpen()


def _get_or_create_order(
    buyer, video_id: uuid.UUID, options: PurchaseOptions
) -> tuple[Order, bool]:
    video = Video.objects.visible_to(buyer).filter(pk=video_id).first()
    if video is None:
        raise VideoNotFound()
    price = _checked_price(buyer, video, options)
    coupon = coupons.find(options.coupon, video=video) if options.coupon else None
    for _ in range(3):
        order = _reusable_order(buyer, video, options, price, coupon)
        if order is not None:
            return order, False
        try:
            return _create_order(buyer, video, options, price, coupon), True
        except IntegrityError:
            continue  # somebody was faster: theirs is the order
    raise GatewayUnavailable()


def _checked_price(buyer, video: Video, options: PurchaseOptions) -> int:
    """The price of what is wished for, in minor units."""
    if video.creator_id == buyer.pk:
        raise OwnVideo()
    price = video.rental_price if options.kind == Order.Kind.RENT else video.price
    if not video.is_paid or not price:
        raise NotForSale()
    if options.currency and options.currency != video.currency:
        raise CurrencyUnsupported()
    if options.expected_amount is not None:
        shown = Decimal(money.to_text(price, video.currency))
        if options.expected_amount != shown:
            raise PriceChanged(str(shown), video.currency)
    held = Entitlement.objects.live().filter(user=buyer)
    mine = held.filter(video=video)
    if options.kind == Order.Kind.BUY:
        mine = mine.filter(rental_hours=None)
    if mine.exists():
        raise AlreadyOwned()
    if not options.even_if_covered and held.filter(video=None).exists():
        raise CoveredBySubscription()
    return price


def _reusable_order(
    buyer, video: Video, options: PurchaseOptions, price: int, coupon
) -> Order | None:
    order = (
        Order.objects.select_related("coupon")
        .filter(buyer=buyer, video=video, kind=options.kind)
        .filter(status__in=Order.LIVE if options.kind == Order.Kind.BUY else Order.OPEN)
        .first()
    )
    if order is None:
        return None
    if order.status in Order.BOUGHT:
        raise AlreadyOwned()
    if order.status == Order.Status.PROCESSING:
        return order
    stale = (order.list_amount, order.currency) != (price, video.currency)
    other_coupon = coupon is not None and order.coupon_id != coupon.pk
    if stale or other_coupon or order.expires_at <= timezone.now():
        # Nobody pays a price that is no longer shown.
        orders.expire(order)
        return None
    return order


@transaction.atomic
def _create_order(buyer, video: Video, options: PurchaseOptions, price: int, coupon) -> Order:
    gateway = gateways.current()
    discount = coupons.discount(coupon, price) if coupon else 0
    if price > discount:
        with translate_errors():
            gateway.validate_amount(price - discount, video.currency)
    order = Order.objects.create(
        buyer=buyer,
        video=video,
        creator_id=video.creator_id,
        kind=options.kind,
        rental_hours=video.rental_hours if options.kind == Order.Kind.RENT else None,
        coupon=coupon,
        list_amount=price,
        discount=discount,
        amount=price - discount,
        currency=video.currency,
        fee_bps=settings.PLATFORM_FEE_BPS,
        gateway=gateway.name,
        expires_at=timezone.now() + timedelta(minutes=settings.ORDER_TTL_MINUTES),
    )
    if coupon is not None:
        coupons.reserve(coupon, order)
    audit.record(
        actor=buyer,
        action=AuditAction.ORDER_CREATED,
        target=order,
        amount=order.amount,
        currency=order.currency,
        video=str(video.pk),
        kind=order.kind,
    )
    return order
