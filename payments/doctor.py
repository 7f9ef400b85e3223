"""The checks of the gateway and the books, for `manage.py doctor` and `manage.py payments_doctor`."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from config import doctor, money
from payments import gateways, modes
from payments.books import review
from payments.gateways.base import AmountRefused, Finding, Gateway, PlanTerms
from payments.ledger import protection
from payments.models import Payment, Plan, Transfer
from payments.services.payouts import waiting

VERIFIED_WITHIN = timedelta(days=2)


@doctor.check("Payments", "payments_mode", needs_tables=True, at_start=True)
def mode() -> Iterator[doctor.Finding]:
    gateway = gateways.configured()
    moved, held = gateways.mode_of(gateway), modes.of_database()
    if held not in {None, moved}:
        yield doctor.error(
            f"Payments are closed: the database holds money of the mode {held}, and the gateway"
            f" {gateway.name} moves {moved} money. Videos are served; nobody can pay, be refunded or be"
            " paid out, and no mail leaves.",
            f"Set the gateway and its keys back to {held}; or end that mode: `python manage.py"
            f" payments_mode {moved}` shows how (docs/operations.md, From the sandbox to live).",
        )
        return
    strangers = Payment.objects.filter(modes.of_present("created_at")).exclude(gateway=gateway.name)
    if number := strangers.count():
        yield doctor.error(
            f"{number} payments of this database are of another gateway than {gateway.name}: their"
            " balances count as if they were of the same mode.",
            "Do not pay out before you have compared the balances (docs/operations.md, From the sandbox"
            " to live).",
        )
    else:
        yield doctor.ok(f"The mode of the database is {held or 'not decided yet'}.")


@doctor.check("Payments", "gateway", needs_tables=True, seconds=15.0)
def gateway() -> Iterator[doctor.Finding]:
    current = gateways.configured()
    if current.name == "sandbox":
        yield doctor.warning(
            "PAYMENT_GATEWAY=sandbox moves no real money: anybody can buy with a test card.",
            "Set PAYMENT_GATEWAY=stripe before you sell (docs/operations.md, Stripe).",
        )
    findings = list(examine(current))
    for passed, subject, remedy in findings:
        if not passed:
            yield doctor.error(f"Not true: {subject}.", remedy)
    if all(finding.is_good for finding in findings):
        yield doctor.ok(f"The gateway {current.name} passes its {len(findings)} checks.")


@doctor.check("Payments", "books_triggers", needs_tables=True)
def triggers() -> Iterator[doctor.Finding]:
    if missing := protection.missing(DEFAULT_DB_ALIAS):
        yield doctor.error(
            f"The books can be changed: the triggers {', '.join(missing)} are gone.",
            "python manage.py migrate, which creates them again; then `manage.py verify_ledger`.",
        )
    else:
        yield doctor.ok("The database refuses changes of the books.")


@doctor.check("Payments", "ledger", needs_tables=True)
def ledger() -> Iterator[doctor.Finding]:
    latest = review.latest_check()
    if latest is None:
        if Transfer.objects.exists():
            yield doctor.warning("The books were never verified.", "python manage.py verify_ledger")
        else:
            yield doctor.ok("The books are empty.")
    elif latest.discrepancies:
        yield doctor.error(
            f"The check of the books of {latest.started_at:%Y-%m-%d %H:%M} UTC found"
            f" {latest.discrepancies} discrepancies. The first: {latest.first}",
            "python manage.py verify_ledger, and the review queue of the admin site.",
        )
    elif latest.started_at < timezone.now() - VERIFIED_WITHIN:
        yield doctor.warning(
            f"The books were last verified on {latest.started_at:%Y-%m-%d}.",
            "Start a worker, which does it daily, or run `manage.py verify_ledger`.",
        )
    else:
        yield doctor.ok(f"The books were right at {latest.started_at:%Y-%m-%d %H:%M} UTC.")


@doctor.check("Payments", "payouts", needs_tables=True)
def waiting_payouts() -> Iterator[doctor.Finding]:
    if overdue := waiting.overdue().count():
        yield doctor.warning(
            f"Payouts that have waited for approval or the bank for more than a week: {overdue}.",
            "Ask the bank, then approve, complete or cancel them (the review queue lists them).",
        )
    else:
        yield doctor.ok("No payout waits for longer than a week.")


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
