"""What can be wrong with the configuration of Stripe: findings for `manage.py payments_doctor`.

A finding is whether it is well, what it is, and the remedy. No finding quotes a secret.
"""

from collections.abc import Iterable, Iterator

import stripe
from django.conf import settings

from payments.gateways.base import GatewayAway, PlanTerms
from payments.gateways.stripe import webhooks
from payments.gateways.stripe.amounts import to_gateway
from payments.gateways.stripe.client import API_VERSION, connect, our_errors, plain

Finding = tuple[bool, str, str]

DASHBOARD = "https://dashboard.stripe.com/apikeys"
SECRET_KINDS = {"sk_test_": "test", "rk_test_": "test", "sk_live_": "live", "rk_live_": "live"}
PUBLISHABLE_KINDS = {"pk_test_": "test", "pk_live_": "live"}


def examine(plans: Iterable[PlanTerms]) -> Iterator[Finding]:
    mode = _mode(settings.STRIPE_SECRET_KEY, SECRET_KINDS)
    yield (
        bool(mode),
        f"STRIPE_SECRET_KEY is a secret key ({mode or 'no'} mode)",
        f"Take the key that begins with sk_ or rk_ from {DASHBOARD}.",
    )
    public_mode = _mode(settings.STRIPE_PUBLISHABLE_KEY, PUBLISHABLE_KINDS)
    yield (
        bool(public_mode),
        f"STRIPE_PUBLISHABLE_KEY is a publishable key ({public_mode or 'no'} mode)",
        f"Take the key that begins with pk_ from {DASHBOARD}.",
    )
    if mode and public_mode:
        yield (
            mode == public_mode,
            "both keys are of the same mode",
            "Take both from the same page: either both test keys, or both live ones.",
        )
    yield (
        bool(webhooks.secrets()) and all(s.startswith("whsec_") for s in webhooks.secrets()),
        "STRIPE_WEBHOOK_SECRETS has signing secrets",
        "Add an endpoint for /api/v1/payments/webhooks/stripe at "
        "https://dashboard.stripe.com/webhooks and take its secret, which begins with whsec_.",
    )
    if settings.STRIPE_API_BASE:
        yield (
            mode != "live",
            "STRIPE_API_BASE leads to a stand-in",
            "Empty STRIPE_API_BASE: a live key must be sent to Stripe alone.",
        )
    if not mode or (mode == "live" and settings.STRIPE_API_BASE):
        return  # whatever it is, it must not be sent anywhere
    reachable = True
    for finding in _ask(mode):
        reachable = reachable and finding[0]
        yield finding
    if reachable:
        for plan in plans:
            yield _price(plan)


def _mode(key: str, kinds: dict[str, str]) -> str:
    return next((mode for prefix, mode in kinds.items() if key.startswith(prefix)), "")


def _ask(mode: str) -> Iterator[Finding]:
    """One question that changes nothing."""
    try:
        with our_errors():
            balance = connect().v1.balance.retrieve()
    except GatewayAway as error:
        yield (
            False,
            f"Stripe answers: {error}",
            "Check the key, the network and https://status.stripe.com.",
        )
        return
    yield True, "Stripe answers and accepts the key", ""
    yield (
        bool(plain(balance).get("livemode")) == (mode == "live"),
        f"the account answers in {mode} mode",
        "The key and the account are of different modes: take the key again.",
    )
    answer = balance.last_response
    version = answer.headers.get("Stripe-Version", "") if answer else ""
    yield (
        version == API_VERSION,
        f"Stripe speaks the API version {API_VERSION}",
        f"It answered in {version or 'an unnamed version'}: update this service.",
    )


def _price(plan: PlanTerms) -> Finding:
    what = f"plan {plan.code} has the price that Stripe knows"
    if not plan.ref:
        return True, f"plan {plan.code} will be made at Stripe with its first subscription", ""
    remedy = f"Clear the plan's reference {plan.ref}: it is made again with the next subscription."
    try:
        price = plain(connect().v1.prices.retrieve(plan.ref))
    except stripe.StripeError:
        return False, what, remedy
    known = (
        price.get("active"),
        price.get("unit_amount"),
        price.get("currency"),
        (price.get("recurring") or {}).get("interval"),
    )
    wanted = (True, to_gateway(plan.amount, plan.currency), plan.currency.lower(), plan.interval)
    return known == wanted, what, remedy
