from collections.abc import Iterator

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import money
from payments import gateways
from payments.gateways.base import AmountRefused, Finding, Gateway, PlanTerms
from payments.models import Plan


class Command(BaseCommand):
    help = "Check the configuration of the payment gateway. Exits with 1 when something is wrong."

    def handle(self, *args: object, **options: object) -> None:
        gateway = gateways.current()
        self.stdout.write(f"Payments through {gateway.name}")
        failures = 0
        for passed, subject, remedy in examine(gateway):
            failures += not passed
            line = f"✓ {subject}" if passed else f"✗ {subject}: no. {remedy}"
            self.stdout.write(self.style.SUCCESS(line) if passed else self.style.ERROR(line))
        if failures:
            raise CommandError(f"{failures} checks failed.")


def examine(gateway: Gateway) -> Iterator[Finding]:
    """Check the settings, the plans on sale and the gateway itself. It changes nothing."""
    plans = [_terms(plan, gateway.name) for plan in Plan.objects.filter(is_active=True)]
    yield Finding(
        settings.DEFAULT_CURRENCY in money.EXPONENTS,
        f"DEFAULT_CURRENCY {settings.DEFAULT_CURRENCY} is a currency of this service",
        f"Set it to one of {', '.join(money.EXPONENTS)}.",
    )
    yield Finding(
        bool(plans),
        f"there are plans on sale ({len(plans)})",
        "`manage.py seed` creates the first one.",
    )
    for plan in plans:
        yield _can_be_charged(gateway, plan)
    yield from gateway.examine(plans)


def _terms(plan: Plan, gateway_name: str) -> PlanTerms:
    return PlanTerms(
        code=plan.code,
        name=plan.name,
        amount=plan.amount,
        currency=plan.currency,
        interval=plan.interval,
        trial_days=plan.trial_days,
        ref=plan.gateway_refs.get(gateway_name, ""),
    )


def _can_be_charged(gateway: Gateway, plan: PlanTerms) -> Finding:
    price = f"{money.to_text(plan.amount, plan.currency)} {plan.currency}"
    subject = f"plan {plan.code} ({price}) can be charged"
    try:
        gateway.validate_amount(plan.amount, plan.currency)
    except AmountRefused as refused:
        return Finding(
            False, subject, f"{refused} Create another plan, and take this one off sale."
        )
    return Finding(True, subject, "")
