"""Coupons: what they take off, and how often they can be used."""

import uuid

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.forms.models import model_to_dict
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import money
from config.errors import DomainError, NotVisible
from payments import locks
from payments.errors import CouponInvalid
from payments.models import Coupon, CouponRedemption, Order
from videos.models import Video

State = CouponRedemption.State


def find(code: str, *, video: Video) -> Coupon:
    """The coupon of that code, if it can be used for the video now. Raises CouponInvalid."""
    now = timezone.now()
    coupon = Coupon.objects.filter(code__iexact=code, is_active=True, starts_at__lte=now).first()
    if coupon is None or (coupon.ends_at is not None and coupon.ends_at <= now):
        raise CouponInvalid("There is no such coupon, or its time is over.")
    if coupon.amount is not None and coupon.currency != video.currency:
        raise CouponInvalid(f"This coupon is for prices in {coupon.currency}.")
    if coupon.creator_id is not None and coupon.creator_id != video.creator_id:
        raise CouponInvalid("This coupon is not for this video.")
    return coupon


def discount(coupon: Coupon, price: int) -> int:
    """What it takes off a price, in minor units; never more than the price.

    >>> discount(Coupon(percent_bps=2500), 1999), discount(Coupon(amount=500), 300)
    (499, 300)
    """
    if coupon.percent_bps is not None:
        return price * coupon.percent_bps // money.BASIS_POINTS
    return min(coupon.amount, price)


def reserve(coupon: Coupon, order: Order) -> None:
    """Take one use of the coupon for an order, in its transaction. Raises CouponInvalid.

    The coupon's row is the queue: of ten at once no more get through than there are uses left.
    """
    left = Q(max_redemptions__isnull=True) | Q(redeemed__lt=F("max_redemptions"))
    if not Coupon.objects.filter(left, pk=coupon.pk).update(redeemed=F("redeemed") + 1):
        raise CouponInvalid("This coupon has been used up.")
    used = CouponRedemption.objects.filter(coupon=coupon, user_id=order.buyer_id)
    if used.exclude(state=State.RELEASED).count() >= coupon.per_user:
        raise CouponInvalid("You have used this coupon.")
    CouponRedemption.objects.create(coupon=coupon, order=order, user_id=order.buyer_id)


@transaction.atomic
def update_redemptions(*orders: Order) -> None:
    """Bring each redemption to what its order's status says: used when paid, released when given up.

    A late payment uses it again, beyond its limit if need be: the price was agreed. Give all orders
    of a transaction at once: redemptions and coupons are then locked in one order.
    """
    discounted = {order.pk: order for order in orders if order.coupon_id is not None}
    if not discounted:
        return
    steps = []
    for redemption in locks.lock_redemptions_of(discounted):
        before, wanted = redemption.state, _state(discounted[redemption.order_id])
        if before == wanted:
            continue
        redemption.state = wanted
        redemption.save(update_fields=["state"])
        if State.RELEASED in {before, wanted}:
            steps.append((redemption.coupon_id, -1 if wanted == State.RELEASED else 1))
    room = Q(max_redemptions__isnull=True) | Q(redeemed__lt=F("max_redemptions"))
    # By coupon, because all transactions lock them by id; -1 first: what is released can be used.
    for coupon_id, step in sorted(steps):
        counted = Coupon.objects.filter(pk=coupon_id)
        (counted if step < 0 else counted.filter(room)).update(redeemed=F("redeemed") + step)


def _state(order: Order) -> State:
    """Return the state in which the coupon redemption of an order must be."""
    if order.status in Order.OPEN:
        return State.RESERVED
    return State.USED if order.paid_at is not None else State.RELEASED


# What somebody has used stands: the books are computed again from who pays for the discount.
FIXED_ONCE_USED = ("code", "percent_bps", "amount", "currency", "funded_by", "creator")


class CouponUsed(DomainError):
    default_code = "coupon_used"

    def __init__(self, field: str):
        super().__init__("This coupon was used already. End it, and make another one.")
        self.attr = field


@transaction.atomic
def create_coupon(*, actor, **fields) -> Coupon:
    """A coupon that can be used from now on. Raises ValidationError."""
    coupon = Coupon(**fields)
    _save_coupon(coupon)
    _record_change(actor, coupon, sorted(fields.keys() - {"id"}))
    return coupon


@transaction.atomic
def change_coupon(*, coupon_id: uuid.UUID, actor, **changes) -> Coupon:
    """Change a coupon. One that was used keeps its code and its worth, and may only be ended,
    prolonged or limited.

    Raises CouponUsed, ValidationError. Changing nothing leaves no trace.
    """
    coupon = locks.lock_coupon(coupon_id)
    if coupon is None:
        raise NotVisible()
    changed = [name for name, value in changes.items() if getattr(coupon, name) != value]
    if not changed:
        return coupon
    fixed = [name for name in changed if name in FIXED_ONCE_USED]
    if fixed and coupon.redemptions.exists():
        raise CouponUsed(fixed[0])
    for name in changed:
        setattr(coupon, name, changes[name])
    limit = coupon.max_redemptions
    if limit is not None and limit < coupon.redeemed:
        raise ValidationError(
            {"max_redemptions": f"It was used {coupon.redeemed} times already."}, code="invalid"
        )
    _save_coupon(coupon, changed)
    _record_change(actor, coupon, changed)
    return coupon


def _save_coupon(coupon: Coupon, changed: list[str] | None = None) -> None:
    if coupon.ends_at is not None and coupon.ends_at <= coupon.starts_at:
        raise ValidationError({"ends_at": "The end must be after the beginning."}, code="invalid")
    if coupon.amount is not None and coupon.amount > money.MAX_MINOR:
        raise ValidationError({"amount": "This amount is too large."}, code="max_value")
    coupon.clean_fields()
    coupon.clean()
    taken = ValidationError({"code": ValidationError("There is such a code.", code="unique")})
    if Coupon.objects.filter(code__iexact=coupon.code).exclude(pk=coupon.pk).exists():
        raise taken
    try:
        with transaction.atomic():
            coupon.save(update_fields=changed)
    except IntegrityError as error:  # somebody else made it just now
        raise taken from error


def _record_change(actor, coupon: Coupon, fields: list[str]) -> None:
    values = model_to_dict(coupon, ["percent_bps", "amount", "currency", "funded_by", "is_active"])
    audit.record(
        actor=actor,
        action=AuditAction.COUPON_CHANGED,
        target=coupon,
        fields=sorted(fields),
        **values,
    )
