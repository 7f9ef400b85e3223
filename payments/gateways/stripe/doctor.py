"""The checks of Stripe's settings, for `manage.py payments_doctor`."""

from collections.abc import Iterable, Iterator

import stripe
from django.conf import settings

from payments.gateways.base import Finding, GatewayAway, PlanTerms
from payments.gateways.json_fields import nested
from payments.gateways.stripe import webhooks
from payments.gateways.stripe.amounts import to_gateway
from payments.gateways.stripe.client import API_VERSION, as_json, connect, sdk_errors_translated

DASHBOARD = "https://dashboard.stripe.com/apikeys"
SECRET_KEY_MODES = {"sk_test_": "test", "rk_test_": "test", "sk_live_": "live", "rk_live_": "live"}
PUBLISHABLE_KEY_MODES = {"pk_test_": "test", "pk_live_": "live"}


def examine(plans: Iterable[PlanTerms]) -> Iterator[Finding]:
    """Yield the findings about the settings, then the findings of read-only requests to Stripe."""
    mode = _mode(settings.STRIPE_SECRET_KEY, SECRET_KEY_MODES)
    yield _key("STRIPE_SECRET_KEY is a secret key", mode, "sk_ or rk_")
    public_mode = _mode(settings.STRIPE_PUBLISHABLE_KEY, PUBLISHABLE_KEY_MODES)
    yield _key("STRIPE_PUBLISHABLE_KEY is a publishable key", public_mode, "pk_")
    if mode and public_mode:
        yield Finding(
            mode == public_mode,
            "both keys are of the same mode",
            "Take both from the same page: either both test keys, or both live ones.",
        )
    secrets = webhooks.secrets()
    yield Finding(
        bool(secrets) and all(secret.startswith("whsec_") for secret in secrets),
        "STRIPE_WEBHOOK_SECRETS has signing secrets",
        "Add an endpoint for /api/v1/payments/webhooks/stripe at "
        "https://dashboard.stripe.com/webhooks and take its secret, which begins with whsec_.",
    )
    if settings.STRIPE_API_BASE:
        yield Finding(
            mode != "live",
            "STRIPE_API_BASE is the address of a test server, and the key is no live key",
            "Empty STRIPE_API_BASE: a live key must be sent only to Stripe.",
        )
    if not mode or (mode == "live" and settings.STRIPE_API_BASE):
        return  # a key of an unknown kind could be any secret, and a live key is only for Stripe
    is_reachable = True
    for finding in _connection(mode):
        is_reachable = is_reachable and finding.is_good
        yield finding
    if is_reachable:
        for plan in plans:
            yield _price(plan)


def _mode(key: str, modes: dict[str, str]) -> str:
    """Return "test" or "live" by the beginning of a key; "" for a key of another kind."""
    return next((mode for prefix, mode in modes.items() if key.startswith(prefix)), "")


def _key(statement: str, mode: str, prefixes: str) -> Finding:
    return Finding(
        bool(mode),
        f"{statement} ({mode} mode)" if mode else statement,
        f"Take the key that begins with {prefixes} from {DASHBOARD}.",
    )


def _connection(mode: str) -> Iterator[Finding]:
    """Request the account's balance, and yield the findings about the answer."""
    try:
        with sdk_errors_translated():
            balance = connect().v1.balance.retrieve()
    except GatewayAway as error:
        yield Finding(
            False,
            f"Stripe answers: {error}",
            "Check the key, the network and https://status.stripe.com.",
        )
        return
    yield Finding(True, "Stripe answers and accepts the key", "")
    yield Finding(
        bool(as_json(balance).get("livemode")) == (mode == "live"),
        f"the account answers in {mode} mode",
        "The key and the account are of different modes: take the key again.",
    )
    answer = balance.last_response
    version = answer.headers.get("Stripe-Version", "") if answer else ""
    yield Finding(
        version == API_VERSION,
        f"Stripe answers in the API version {API_VERSION}",
        f"It answered in {version or 'an unnamed version'}: update this service.",
    )


def _price(plan: PlanTerms) -> Finding:
    """Compare a plan with its Price at Stripe."""
    if not plan.ref:
        statement = f"plan {plan.code} will be made at Stripe with its first subscription"
        return Finding(True, statement, "")
    statement = f"plan {plan.code} has the price that Stripe knows"
    remedy = (
        f"Clear the plan's reference {plan.ref}: the next subscription creates the price again."
    )
    try:
        price = as_json(connect().v1.prices.retrieve(plan.ref))
    except stripe.StripeError:
        return Finding(False, statement, remedy)
    at_stripe = (
        price.get("active"),
        price.get("unit_amount"),
        price.get("currency"),
        nested(price, "recurring").get("interval"),
    )
    expected = (True, to_gateway(plan.amount, plan.currency), plan.currency.lower(), plan.interval)
    return Finding(at_stripe == expected, statement, remedy)
