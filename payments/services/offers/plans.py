"""Plans: the first one, and their changes by administrators."""

import uuid
from typing import TypedDict, Unpack

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import money
from config.errors import NotVisible
from payments import locks
from payments.models import Plan

FIRST_PLAN = "monthly"


class PlanChanges(TypedDict, total=False):
    """The columns of a plan that can change after subscribers agreed to it."""

    name: str
    is_active: bool
    max_streams: int | None


@transaction.atomic
def seed_first_plan() -> str:
    """Create the monthly plan at SUBSCRIPTION_PRICE unless it exists. Return a line for the operator."""
    currency = settings.DEFAULT_CURRENCY
    plan, created = Plan.objects.get_or_create(
        code=FIRST_PLAN,
        defaults={
            "name": "Monthly",
            "amount": money.to_minor(settings.SUBSCRIPTION_PRICE, currency),
            "currency": currency,
            "interval": Plan.Interval.MONTH,
        },
    )
    if created:
        audit.record(
            actor=None,
            action=AuditAction.PLAN_CHANGED,
            target=plan,
            amount=plan.amount,
            currency=plan.currency,
        )
    price = f"{money.to_text(plan.amount, plan.currency)} {plan.currency}"
    return f"Plan {plan.code} ({price}): {'created' if created else 'up to date'}"


@transaction.atomic
def create_plan(*, actor: User, **fields: object) -> Plan:
    """Create a plan from the fields of the model. Raises ValidationError."""
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
def change_plan(*, plan_id: uuid.UUID, actor: User, **fields: Unpack[PlanChanges]) -> Plan:
    """Rename a plan, stop or start offering it, or set its simultaneous streams.

    Existing subscriptions to it continue, and their next playback follows the new number of streams.
    Write an audit entry only if a value is different. Raises NotVisible if there is no such plan, and
    ValidationError.
    """
    plan = locks.lock_plan(plan_id)
    if plan is None:
        raise NotVisible()
    before: dict[str, object] = {field: getattr(plan, field) for field in fields}
    changed = audit.changes(before, dict(fields))
    if not changed:
        return plan
    for field, value in fields.items():
        setattr(plan, field, value)
    plan.full_clean()
    plan.save(update_fields=changed)
    audit.record(
        actor=actor,
        action=AuditAction.PLAN_CHANGED,
        target=plan,
        fields=sorted(changed),
        is_active=plan.is_active,
        changes=changed,
    )
    return plan
