from collections.abc import Iterator

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import money
from payments import gateways
from payments.gateways.base import AmountRefused, Finding, Gateway, PlanTerms
from payments.models import Plan


class Command(BaseCommand):
    help = "Examine the configuration of the payment gateway. Fails when something is wrong."

    def handle(self, *args, **options):
        gateway = gateways.current()
        self.stdout.write(f"Payments through {gateway.name}")
        wrong = 0
        for well, what, remedy in examine(gateway):
            wrong += not well
            line = f"✓ {what}" if well else f"✗ {what}: no. {remedy}"
            self.stdout.write(self.style.SUCCESS(line) if well else self.style.ERROR(line))
        if wrong:
            raise CommandError(f"{wrong} to put right.")


def examine(gateway: Gateway) -> Iterator[Finding]:
    plans = [_terms(plan, gateway.name) for plan in Plan.objects.filter(is_active=True)]
    yield Finding(
        settings.DEFAULT_CURRENCY in money.EXPONENTS,
        f"DEFAULT_CURRENCY is {settings.DEFAULT_CURRENCY}, which this service knows",
        f"Set it to one of {', '.join(money.EXPONENTS)}.",
    )
    yield Finding(
        bool(plans),
        f"there are plans to subscribe to ({len(plans)})",
        "`manage.py seed` makes the first one.",
    )
    for plan in plans:
        yield _chargeable(gateway, plan)
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


def _chargeable(gateway: Gateway, plan: PlanTerms) -> Finding:
    price = f"{money.to_text(plan.amount, plan.currency)} {plan.currency}"
    what = f"plan {plan.code} ({price}) can be charged"
    try:
        gateway.validate_amount(plan.amount, plan.currency)
    except AmountRefused as refused:
        return Finding(False, what, f"{refused} Make another plan, and take this one off sale.")
    return Finding(True, what, "")
