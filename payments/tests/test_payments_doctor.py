"""`manage.py payments_doctor`: the faults that it finds; no run prints a secret."""

from io import StringIO

import pytest
import stripe
from django.core.management import CommandError, call_command

from payments.models import Plan
from payments.tests import stripe_stand_in

pytestmark = pytest.mark.django_db

PUBLISHABLE = "pk_test_of_the_stand_in"


@pytest.fixture(autouse=True)
def plan():
    Plan.objects.all().delete()
    return Plan.objects.create(code="basic", name="Basic", amount=999, currency="USD")


@pytest.fixture
def stand_in(settings, monkeypatch):
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)
    with stripe_stand_in.StripeStandIn() as running:
        settings.PAYMENT_GATEWAY = "stripe"
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = stripe_stand_in.KEY
        settings.STRIPE_PUBLISHABLE_KEY = PUBLISHABLE
        settings.STRIPE_WEBHOOK_SECRETS = [stripe_stand_in.SECRET]
        yield running


def examine() -> tuple[list[str], list[str]]:
    """Run the doctor and return its lines about passed and about failed checks.

    Also checks that no secret was printed, and that the command fails if a check failed.
    """
    out = StringIO()
    try:
        call_command("payments_doctor", stdout=out, no_color=True)
        failed = False
    except CommandError:
        failed = True
    for secret in (stripe_stand_in.KEY, stripe_stand_in.SECRET):
        assert secret not in out.getvalue()
    lines = out.getvalue().splitlines()
    wrong = [line for line in lines if line.startswith("✗")]
    assert failed == bool(wrong)
    return [line for line in lines if line.startswith("✓")], wrong


def price(stand_in, **over) -> str:
    return stand_in.make(
        "price", "price",
        **{"unit_amount": 999, "currency": "usd", "active": True, "recurring": {"interval": "month"}}
        | over,
    )["id"]  # fmt: skip


def test_a_good_sandbox_configuration_passes():
    well, wrong = examine()

    assert wrong == []
    assert "✓ plan basic (9.99 USD) can be charged" in well
    assert "✓ the sandbox's own webhook messages are accepted" in well


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("SANDBOX_WEBHOOK_SECRETS", [], "SANDBOX_WEBHOOK_SECRETS"),
        ("WEBHOOK_TOLERANCE_SECONDS", -1, "WEBHOOK_TOLERANCE_SECONDS"),
        ("DEFAULT_CURRENCY", "XXX", "DEFAULT_CURRENCY"),
    ],
)
def test_a_wrong_sandbox_setting_is_named(settings, name, value, complaint):
    setattr(settings, name, value)

    _, wrong = examine()

    assert any(complaint in line for line in wrong)


def test_a_missing_plan_is_named():
    Plan.objects.update(is_active=False)

    _, (wrong,) = examine()

    assert "seed" in wrong


def test_a_good_stripe_configuration_passes(stand_in, plan):
    plan.gateway_refs = {"stripe": price(stand_in)}
    plan.save()

    well, wrong = examine()

    assert wrong == []
    assert "✓ Stripe answers and accepts the key" in well
    assert "✓ plan basic has the price that Stripe knows" in well
    assert [method for method, _, _ in stand_in.requests] == ["GET", "GET"]


def test_a_plan_that_stripe_does_not_know_yet_passes(stand_in):
    well, wrong = examine()

    assert wrong == []
    assert "✓ plan basic will be made at Stripe with its first subscription" in well


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("STRIPE_SECRET_KEY", "", "STRIPE_SECRET_KEY is a secret key"),
        ("STRIPE_SECRET_KEY", PUBLISHABLE, "STRIPE_SECRET_KEY is a secret key"),
        ("STRIPE_SECRET_KEY", "sk_test_wrong", "Stripe does not accept our key"),
        ("STRIPE_PUBLISHABLE_KEY", "", "STRIPE_PUBLISHABLE_KEY is a publishable key"),
        ("STRIPE_PUBLISHABLE_KEY", stripe_stand_in.KEY, "STRIPE_PUBLISHABLE_KEY is a publishable"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_1", "both keys are of the same mode"),
        ("STRIPE_WEBHOOK_SECRETS", [], "STRIPE_WEBHOOK_SECRETS"),
        ("STRIPE_WEBHOOK_SECRETS", ["we_1"], "STRIPE_WEBHOOK_SECRETS"),
        ("STRIPE_API_BASE", "http://127.0.0.1:9", "Stripe answers"),
    ],
)
@pytest.mark.promise("no-secrets-kept")
def test_a_wrong_stripe_setting_is_named(stand_in, settings, name, value, complaint):
    setattr(settings, name, value)

    _, wrong = examine()

    (line,) = wrong
    assert complaint in line
    assert line.endswith(".")


def test_a_live_key_is_sent_to_stripe_alone(stand_in, settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY = "sk_live_1", "pk_live_1"

    _, (wrong,) = examine()

    assert "STRIPE_API_BASE" in wrong
    assert stand_in.requests == []


def test_another_api_version_of_stripe_is_named(stand_in, monkeypatch):
    monkeypatch.setattr(stripe_stand_in.server, "API_VERSION", "2017-08-15")

    _, (wrong,) = examine()

    assert "2017-08-15" in wrong


def test_a_stripe_account_of_the_other_mode_is_named(stand_in, monkeypatch):
    monkeypatch.setattr(
        stripe_stand_in.StripeStandIn,
        "_route",
        lambda *_: {"object": "balance", "livemode": True},
    )

    _, (wrong,) = examine()

    assert "test mode" in wrong


@pytest.mark.parametrize(
    "over",
    [
        {"unit_amount": 1099},
        {"currency": "eur"},
        {"active": False},
        {"recurring": {"interval": "year"}},
        None,
    ],
)
def test_a_plan_with_another_price_at_stripe_is_named(stand_in, plan, over):
    ref = "price_gone" if over is None else price(stand_in, **over)
    plan.gateway_refs = {"stripe": ref}
    plan.save()

    _, (wrong,) = examine()

    assert ref in wrong


def test_a_plan_below_stripes_minimum_is_named(stand_in):
    Plan.objects.update(amount=49)

    _, (wrong,) = examine()

    assert "0.50" in wrong
