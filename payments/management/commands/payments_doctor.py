from collections.abc import Iterator

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config import money
from payments import gateways
from payments.gateways import signatures
from payments.gateways.base import AmountRefused, Gateway, PlanTerms, WebhookRefused
from payments.models import Plan

Finding = tuple[bool, str, str]  # whether the check passed, what it checked, how to fix a failure


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
    yield (
        settings.DEFAULT_CURRENCY in money.EXPONENTS,
        f"DEFAULT_CURRENCY {settings.DEFAULT_CURRENCY} is a currency of this service",
        f"Set it to one of {', '.join(money.EXPONENTS)}.",
    )
    yield (
        bool(plans),
        f"there are plans on sale ({len(plans)})",
        "`manage.py seed` creates the first one.",
    )
    for plan in plans:
        yield _can_be_charged(gateway, plan)
    if gateway.name == "stripe":
        from payments.gateways.stripe import (
            doctor,  # the SDK is large, and the sandbox does without
        )

        yield from doctor.examine(plans)
    else:
        yield from _sandbox()


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
        return False, subject, f"{refused} Create another plan, and take this one off sale."
    return True, subject, ""


def _sandbox() -> Iterator[Finding]:
    """Check that the sandbox signs its webhooks in a way that this service accepts."""
    secrets = [secret for secret in settings.SANDBOX_WEBHOOK_SECRETS if secret.strip()]
    yield (
        bool(secrets),
        "SANDBOX_WEBHOOK_SECRETS has a secret to sign webhooks",
        "Leave the variable empty: then a secret is derived from SECRET_KEY.",
    )
    yield (
        _accepts_own_signature(secrets),
        "the sandbox's own webhooks are accepted",
        "Set WEBHOOK_TOLERANCE_SECONDS back to 300.",
    )


def _accepts_own_signature(secrets: list[str]) -> bool:
    now = timezone.now().timestamp()
    try:
        signatures.verify(
            b"{}",
            signatures.sign(b"{}", secrets[0] if secrets else "", now),
            secrets,
            now=now,
            tolerance=settings.WEBHOOK_TOLERANCE_SECONDS,
        )
    except WebhookRefused:
        return False
    return True
