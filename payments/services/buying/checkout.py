"""Buying and renting a video: the order, its price, and the charge of a card."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import money, rows
from config.prepared import Prepared, Update, new
from config.rows import Rows
from payments import gateways
from payments.errors import (
    AlreadyOwned,
    CouponInvalid,
    CoveredBySubscription,
    CurrencyUnsupported,
    GatewayUnavailable,
    NotForSale,
    OrderNotOpen,
    OwnVideo,
    PriceChanged,
    VideoNotFound,
)
from payments.gateways import translation
from payments.gateways.base import CheckoutSnapshot, Gateway, Item
from payments.gateways.translation import translate_errors
from payments.models import Coupon, Entitlement, Order
from payments.services.buying import orders, preorders
from payments.services.offers import coupons
from payments.services.settling import customers, payable
from payments.services.settling.facts import sync_payment
from payments.services.settling.payable import NextAction
from videos import reading
from videos.availability import errors as availability
from videos.availability import policy
from videos.models import Video

# What `purchase`, `pay` and `next_action` can raise, for the API document.
REFUSALS = (
    VideoNotFound,
    OwnVideo,
    NotForSale,
    CurrencyUnsupported,
    PriceChanged,
    AlreadyOwned,
    CoveredBySubscription,
    CouponInvalid,
    OrderNotOpen,
    *availability.REFUSALS,
    *translation.REFUSALS,
)


# The video and the rental hours of each live entitlement of a user to a video, or to all videos.
_HELD = Prepared(
    lambda user, video, now: (
        Entitlement.objects.live(now)
        .filter(Q(video=video) | Q(video=None), user=user)
        .values_list("video", "rental_hours")
    ),
    user=uuid.UUID,
    video=uuid.UUID,
    now=datetime,
)
# The charge of an order that has not changed since it was read, which is nearly every one.
_CHARGING = Update(Order, unchanged=["status", "attempt"])


@dataclass(frozen=True, slots=True)
class PurchaseOptions:
    """How a buyer wants to get a video.

    ``kind`` is "buy" or "rent". ``currency`` and ``expected_amount`` are the price that the buyer
    was shown, if known. ``even_if_covered`` buys a video that the buyer's subscription covers.
    ``address`` is the buyer's; without it no video with rules for countries is sold.
    """

    kind: str = "buy"
    currency: str | None = None
    expected_amount: Decimal | None = None
    even_if_covered: bool = False
    coupon: str = ""
    address: str = ""


def purchase(
    *,
    buyer: User,
    video_id: uuid.UUID,
    options: PurchaseOptions,
    payment_method: str = "",
    return_url: str = "",
) -> tuple[Order, bool]:
    """Order a video for a buyer. Return the order, and whether this call created it.

    The order is paid at once with a payment method, or if nothing is due. Repeating the call
    continues with the open order. Two calls at once create one order, capture once and grant one
    entitlement: the database allows one open order, and the gateway's idempotency key is the order's.

    Raises VideoNotFound, OwnVideo, NotForSale, CurrencyUnsupported, PriceChanged, AlreadyOwned,
    CoveredBySubscription, CouponInvalid, AmountBelowMinimum, NotYetAvailable, NoLongerAvailable,
    NotInYourCountry, and the errors of `pay`.
    """
    has_mode = gateways.require_open()
    order, created = _get_or_create_order(
        buyer, video_id, options, has_mode=has_mode, is_charged=bool(payment_method)
    )
    if not order.amount:
        return orders.complete_free(order), created
    if payment_method and order.status in Order.OPEN:
        if not created:
            return pay(order=order, payment_method=payment_method, return_url=return_url), False
        gateway = gateways.by_name_when_open(order.gateway)
        order = _charged(order, gateway, payment_method, return_url, is_first_call=True)
    return order, created


def pay(*, order: Order, payment_method: str, return_url: str = "") -> Order:
    """Charge an open order while payments are open, and return it with its new status.

    Raises OrderNotOpen, VideoNotFound for a deleted or withdrawn video, and CardDeclined,
    PaymentMethodUnknown or AmountBelowMinimum: the order then waits for another card. After
    GatewayUnavailable it stays PROCESSING, neither expires nor can be canceled, and the next call asks
    the gateway again with the same idempotency key, so that a capture is found and not repeated.
    """
    gateway = gateways.by_name_when_open(order.gateway)
    # The first call with a key is answered with the payment as it is now, a later one perhaps not.
    is_first_call = order.status == Order.Status.PENDING
    if order.is_at_gateway:
        with translate_errors():
            payable.waiting_payment(order, order.payments.all())  # it may be gone
    _mark_as_charging(order)
    if order.status in Order.BOUGHT:
        return order  # another request has paid it
    return _charged(order, gateway, payment_method, return_url, is_first_call=is_first_call)


def _charged(
    order: Order, gateway: Gateway, payment_method: str, return_url: str, *, is_first_call: bool
) -> Order:
    """Charge an order that is PROCESSING, and return it as its payment leaves it."""
    with payable.charging(order):
        charge = customers.with_customer(
            order.buyer,
            gateway,
            lambda customer, key: gateway.charge(
                amount=order.amount,
                currency=order.currency,
                payment_method=payment_method,
                reference=str(order.pk),
                customer=customer,
                key=key,
                return_url=return_url,
            ),
            key=order.charge_key,
            is_needed=False,
        )
    with (
        translate_errors()
    ):  # a gateway that is away now has charged already; a repeat learns of it
        payment = sync_payment(
            gateway=gateway.name,
            external_id=charge.external_id,
            order=order,
            snapshot=charge if is_first_call and charge.captured else None,
        )
    return payment.order or order


def next_action(order: Order, *, return_url: str = "") -> NextAction | None:
    """Return the buyer's next step, or None. See `payable.next_action`."""

    def create_checkout(gateway: Gateway) -> CheckoutSnapshot:
        return customers.with_customer(
            order.buyer,
            gateway,
            lambda customer, key: gateway.create_checkout(
                Item(str(order.pk), order.video.title, order.amount, order.currency),
                customer=customer,
                key=key,
                return_url=return_url,
                expires_at=order.expires_at,
            ),
            key=order.checkout_key,
            is_needed=False,
        )

    return payable.next_action(
        order, payments=order.payments.all(), create_checkout=create_checkout
    )


def _mark_as_charging(order: Order) -> None:
    """Set an open order to PROCESSING.

    Raises OrderNotOpen, VideoNotFound for a deleted or withdrawn video, and NotYetAvailable or
    NoLongerAvailable for one that is not sold any more.
    """
    if order.status == Order.Status.PENDING and (
        order.video.deleted_at is not None or order.video.is_withdrawn
    ):
        raise VideoNotFound()
    now = timezone.now()
    if order.status == Order.Status.PENDING:
        is_purchase = order.kind == Order.Kind.BUY
        policy.require_sellable(order.video, is_purchase=is_purchase, address=None, now=now)
    seen = _CHARGING.seen(order)
    changes = {"status": Order.Status.PROCESSING, "changed_at": now}
    is_waiting = order.status == Order.Status.PENDING and order.expires_at > now
    if is_waiting and _CHARGING.write(seen, changes):
        order.status = Order.Status.PROCESSING
        return
    unpaid = Order.objects.filter(
        Q(status=Order.Status.PROCESSING) | Q(status=Order.Status.PENDING, expires_at__gt=now),
        pk=order.pk,
    )
    while not unpaid.filter(attempt=order.attempt).update(
        status=Order.Status.PROCESSING, changed_at=now
    ):
        attempt = order.attempt
        order.refresh_from_db(fields=["status", "attempt", "paid_at"])
        if order.status in Order.BOUGHT:
            return
        if order.attempt == attempt:  # otherwise another request has just had a decline
            raise OrderNotOpen()
    order.status = Order.Status.PROCESSING


def _get_or_create_order(
    buyer: User, video_id: uuid.UUID, options: PurchaseOptions, *, has_mode: bool, is_charged: bool
) -> tuple[Order, bool]:
    """Return the buyer's open order that fits the options, and whether this call created it.

    ``is_charged`` says that the caller charges a new order at once: it begins as PROCESSING.
    """
    video = reading.find_whole(buyer, video_id)
    if video is None or video.is_withdrawn:
        raise VideoNotFound()
    price = _checked_price(buyer, video, options)
    policy.require_sellable(
        video,
        is_purchase=options.kind == Order.Kind.BUY,
        address=options.address,
        now=timezone.now(),
    )
    coupon = coupons.find(options.coupon, video=video) if options.coupon else None
    for _ in range(3):
        order = _reusable_order(buyer, video, options, price, coupon)
        if order is not None:
            return order, False
        try:
            order = _create_order(
                buyer, video, options, price, coupon, has_mode=has_mode, is_charged=is_charged
            )
            return order, True
        except IntegrityError:
            continue  # another request of the buyer has just created one
    raise GatewayUnavailable()


def _checked_price(buyer: User, video: Video, options: PurchaseOptions) -> int:
    """Return the video's price in minor units, before any coupon, after checking the options.

    Raises OwnVideo, NotForSale, CurrencyUnsupported, PriceChanged, AlreadyOwned and
    CoveredBySubscription.
    """
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
    held = _HELD.rows(user=buyer.pk, video=video.pk, now=timezone.now())
    is_rent = options.kind == Order.Kind.RENT
    # A rented video can be bought.
    if any(to is not None and (hours is None or is_rent) for to, hours in held):
        raise AlreadyOwned()
    if not options.even_if_covered and any(to is None for to, _ in held):
        raise CoveredBySubscription()
    return price


@cache
def _live_order(kind: str) -> Rows[Order]:
    """The buyer's order that another one of the kind would be beside; the database allows one."""
    statuses = Order.LIVE if kind == Order.Kind.BUY else Order.OPEN
    return Rows(
        lambda buyer, video: Order.objects.filter(
            buyer=buyer, video=video, kind=kind, status__in=statuses
        ).order_by("pk"),
        Order,
        buyer=uuid.UUID,
        video=uuid.UUID,
    )


def _reusable_order(
    buyer: User, video: Video, options: PurchaseOptions, price: int, coupon: Coupon | None
) -> Order | None:
    """Return the buyer's open order of the video, if it still has the price and the coupon.

    An order that does not is expired first, so that no price is paid that is not shown any more.
    Raises AlreadyOwned when the buyer has bought the video.
    """
    order = _live_order(options.kind).first(buyer=buyer.pk, video=video.pk)
    if order is None:
        return None
    if order.status == Order.Status.DISPUTED:
        raise AlreadyOwned(
            "Your bank is deciding about your payment for this video. When it has decided, you can"
            " watch the video again or buy it again."
        )
    if order.status in Order.BOUGHT:
        raise AlreadyOwned()
    if order.status == Order.Status.PROCESSING:
        return order
    stale = (order.list_amount, order.currency) != (price, video.currency)
    stale |= order.available_from != preorders.promised(video, options.kind, timezone.now())
    other_coupon = coupon is not None and order.coupon_id != coupon.pk
    if stale or other_coupon or order.expires_at <= timezone.now():
        orders.expire(order)
        return None
    return order


def _create_order(
    buyer: User,
    video: Video,
    options: PurchaseOptions,
    price: int,
    coupon: Coupon | None,
    *,
    has_mode: bool,
    is_charged: bool,
) -> Order:
    """Create an order, and reserve its coupon. Raises AmountBelowMinimum and CouponInvalid.

    Raises IntegrityError if the buyer has another open one.
    """
    gateway = gateways.configured() if has_mode else gateways.current()
    discount = coupons.discount(coupon, price) if coupon else 0
    amount = price - discount
    if amount > 0:
        with translate_errors():
            gateway.validate_amount(amount, video.currency)
    now = timezone.now()
    order = new(
        Order,
        buyer_id=buyer.pk,
        video_id=video.pk,
        creator_id=video.creator_id,
        kind=options.kind,
        rental_hours=video.rental_hours if options.kind == Order.Kind.RENT else None,
        coupon_id=coupon.pk if coupon is not None else None,
        list_amount=price,
        discount=discount,
        amount=amount,
        currency=video.currency,
        fee_bps=settings.PLATFORM_FEE_BPS,
        status=Order.Status.PROCESSING if is_charged and amount > 0 else Order.Status.PENDING,
        gateway=gateway.name,
        available_from=preorders.promised(video, options.kind, now),
        expires_at=now + timedelta(minutes=settings.ORDER_TTL_MINUTES),
    )
    order.buyer, order.video = buyer, video
    facts: dict[str, Any] = {
        "amount": amount,
        "currency": order.currency,
        "video": str(video.pk),
        "kind": order.kind,
    }
    if coupon is None:
        audit.record_new(order, actor=buyer, action=AuditAction.ORDER_CREATED, **facts)
        return order
    order.coupon = coupon
    with transaction.atomic():
        rows.insert(order)
        coupons.reserve(coupon, order)
        audit.record(actor=buyer, action=AuditAction.ORDER_CREATED, target=order, **facts)
    return order
