"""Plans and coupons: what is offered, made and changed by people, with a trace of it."""

import uuid

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.forms.models import model_to_dict

import audit.services as audit
from audit.actions import AuditAction
from config import money
from config.errors import DomainError, NotVisible
from payments.models import Coupon, Plan

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
    _note_coupon(actor, coupon, sorted(fields.keys() - {"id"}))
    return coupon


@transaction.atomic
def change_coupon(*, coupon_id: uuid.UUID, actor, **changes) -> Coupon:
    """Change a coupon. One that was used keeps its code and its worth, and may only be ended,
    prolonged or limited.

    Raises CouponUsed, ValidationError. Changing nothing leaves no trace.
    """
    coupon = Coupon.objects.select_for_update().filter(pk=coupon_id).first()
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
    _note_coupon(actor, coupon, changed)
    return coupon


@transaction.atomic
def create_plan(*, actor, **fields) -> Plan:
    """A plan that can be subscribed to. Raises ValidationError."""
    plan = Plan(**fields)
    if plan.amount is None or not 0 < plan.amount <= money.MAX_MINOR:
        raise ValidationError({"amount": "The price must be above zero."}, code="min_value")
    plan.full_clean()
    plan.save(force_insert=True)
    audit.record(
        actor=actor,
        action=AuditAction.PLAN_CHANGED,
        target=plan,
        fields=sorted(fields.keys() - {"id"}),
        amount=plan.amount,
        currency=plan.currency,
    )
    return plan


@transaction.atomic
def change_plan(
    *, plan_id: uuid.UUID, actor, name: str | None = None, is_active: bool | None = None
) -> Plan:
    """Rename a plan, or stop or begin to offer it. Its price never changes: a new one is a new plan.

    Whoever has subscribed to it keeps it.
    """
    plan = Plan.objects.select_for_update().filter(pk=plan_id).first()
    if plan is None:
        raise NotVisible()
    wanted = {"name": name, "is_active": is_active}
    changed = [
        field
        for field, value in wanted.items()
        if value is not None and getattr(plan, field) != value
    ]
    if not changed:
        return plan
    for field in changed:
        setattr(plan, field, wanted[field])
    plan.full_clean()
    plan.save(update_fields=changed)
    audit.record(
        actor=actor,
        action=AuditAction.PLAN_CHANGED,
        target=plan,
        fields=sorted(changed),
        is_active=plan.is_active,
    )
    return plan


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


def _note_coupon(actor, coupon: Coupon, fields: list[str]) -> None:
    values = model_to_dict(coupon, ["percent_bps", "amount", "currency", "funded_by", "is_active"])
    audit.record(
        actor=actor,
        action=AuditAction.COUPON_CHANGED,
        target=coupon,
        fields=sorted(fields),
        **values,
    )
