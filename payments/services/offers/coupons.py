"""Coupons: the discount on an order, the count of uses, and their changes by administrators."""

import uuid
from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.forms.models import model_to_dict
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import money
from config.errors import NotVisible
from payments import locks
from payments.errors import CouponInvalid, CouponUsed
from payments.models import Coupon, CouponRedemption, Order
from videos.models import Video

State = CouponRedemption.State
USES_LEFT = Q(max_redemptions__isnull=True) | Q(redeemed__lt=F("max_redemptions"))


def find(code: str, *, video: Video) -> Coupon:
    """Return the coupon with this code, if it is valid for the video now. Raises CouponInvalid."""
    now = timezone.now()
    has_begun = Q(starts_at__lte=now + settings.CLOCKS_DIFFER_BY)
    coupon = Coupon.objects.filter(has_begun, code__iexact=code, is_active=True).first()
    if coupon is None or (coupon.ends_at is not None and coupon.ends_at <= now):
        raise CouponInvalid("No coupon with this code is valid now. Check the code.")
    if coupon.amount is not None and coupon.currency != video.currency:
        raise CouponInvalid(f"This coupon is for prices in {coupon.currency}. Leave it out.")
    if coupon.creator_id is not None and coupon.creator_id != video.creator_id:
        raise CouponInvalid("This coupon is not valid for this video. Leave it out.")
    return coupon


def discount(coupon: Coupon, price: int) -> int:
    """Return the coupon's discount on a price, both in minor units. It never exceeds the price.

    >>> discount(Coupon(percent_bps=2500), 1999), discount(Coupon(amount=500), 300)
    (499, 300)
    """
    if coupon.amount is not None:
        return min(coupon.amount, price)
    return price * (coupon.percent_bps or 0) // money.BASIS_POINTS


def reserve(coupon: Coupon, order: Order) -> None:
    """Reserve one use of the coupon for an order. Raises CouponInvalid when no use is left.

    The caller must be in the transaction that creates the order. The update locks the coupon's row,
    so that simultaneous orders never reserve more uses than there are.
    """
    if not Coupon.objects.filter(USES_LEFT, pk=coupon.pk).update(redeemed=F("redeemed") + 1):
        raise CouponInvalid("This coupon is used up. Leave it out.")
    used = CouponRedemption.objects.filter(coupon=coupon, user_id=order.buyer_id)
    if used.exclude(state=State.RELEASED).count() >= coupon.per_user:
        raise CouponInvalid("You have used this coupon as often as you may. Leave it out.")
    CouponRedemption.objects.create(coupon=coupon, order=order, user_id=order.buyer_id)


def update_redemptions(*orders: Order) -> None:
    """Set the state of each order's coupon use to match the order's status. Safe to repeat.

    The use is reserved while the order is open, used once it was paid, and released otherwise. A
    payment that comes late uses it again even if no use is left, because the buyer was shown that
    price; the count of uses then stays at the limit.

    Call it in a transaction, with all its orders at once: redemptions and coupons are then locked in
    one order.
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
    # By coupon, because all transactions lock them by id; -1 first: a released use can be used again.
    for coupon_id, step in sorted(steps):
        counted = Coupon.objects.filter(pk=coupon_id)
        (counted if step < 0 else counted.filter(USES_LEFT)).update(redeemed=F("redeemed") + step)


def _state(order: Order) -> State:
    """Return the state in which the coupon redemption of an order must be."""
    if order.status in Order.OPEN:
        return State.RESERVED
    is_used = order.paid_at is not None and order.status != Order.Status.VOID
    return State.USED if is_used else State.RELEASED


# The verification computes the books again from these fields, so that a used coupon keeps them.
FIXED_ONCE_USED = ("code", "percent_bps", "amount", "currency", "funded_by", "creator")


@transaction.atomic
def create_coupon(*, actor: User, **fields: object) -> Coupon:
    """Create a coupon from the fields of the model. Raises ValidationError."""
    coupon = Coupon(**fields)
    _save_coupon(coupon)
    _record_change(actor, coupon, fields.keys() - {"id"})
    return coupon


@transaction.atomic
def change_coupon(*, coupon_id: uuid.UUID, actor: User, **changes: object) -> Coupon:
    """Change fields of a coupon. Write an audit entry only if a value is different.

    Raises NotVisible if there is no such coupon, CouponUsed for a change of FIXED_ONCE_USED after
    the first use, and ValidationError, also for a limit below the number of uses.
    """
    coupon = locks.lock_coupon(coupon_id)
    if coupon is None:
        raise NotVisible()
    before = {name: getattr(coupon, name) for name in changes}
    changed = {name: new for name, new in changes.items() if before[name] != new}
    if not changed:
        return coupon
    fixed = [name for name in changed if name in FIXED_ONCE_USED]
    if fixed and coupon.redemptions.exists():
        raise CouponUsed(fixed[0])
    for name, value in changed.items():
        setattr(coupon, name, value)
    limit = coupon.max_redemptions
    if limit is not None and limit < coupon.redeemed:
        raise ValidationError(
            {"max_redemptions": f"Enter at least {coupon.redeemed}, the uses so far."},
            code="invalid",
        )
    _save_coupon(coupon, changed)
    _record_change(actor, coupon, changed, changes=audit.changes(before, changed))
    return coupon


def _save_coupon(coupon: Coupon, changed: Iterable[str] | None = None) -> None:
    """Validate and save a coupon; ``changed`` limits the columns.

    Raises ValidationError with all fields at fault.
    """
    text = "Another coupon has this code. Choose another code."
    taken = ValidationError({"code": ValidationError(text, code="unique")})
    errors: dict[str, list[ValidationError]] = {}
    for check in (coupon.clean_fields, coupon.clean):
        try:
            check()
        except ValidationError as error:
            error.update_error_dict(errors)
    if Coupon.objects.filter(code__iexact=coupon.code).exclude(pk=coupon.pk).exists():
        taken.update_error_dict(errors)
    if errors:
        raise ValidationError(errors)
    try:
        with transaction.atomic():
            coupon.save(update_fields=changed)
    except IntegrityError as error:  # another process has just created one with this code
        raise taken from error


def _record_change(actor: User, coupon: Coupon, fields: Iterable[str], **more: object) -> None:
    """Write the audit entry of a new or changed coupon."""
    values = model_to_dict(coupon, ["percent_bps", "amount", "currency", "funded_by", "is_active"])
    audit.record(
        actor=actor,
        action=AuditAction.COUPON_CHANGED,
        target=coupon,
        fields=sorted(fields),
        **values,
        **more,
    )
