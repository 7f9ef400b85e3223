from django.conf import settings

from config import money
from payments.models import Plan

FIRST_PLAN = "monthly"


def seed_first_plan() -> str:
    """The monthly plan of SUBSCRIPTION_PRICE, unless there is one; returns a line for the operator."""
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
    price = f"{money.to_text(plan.amount, plan.currency)} {plan.currency}"
    return f"Plan {plan.code} ({price}): {'created' if created else 'up to date'}"
