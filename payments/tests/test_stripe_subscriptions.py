"""Subscriptions at Stripe through the API: trials, upgrades, and the Customer Portal."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import stripe
import time_machine
from django.db.models import QuerySet

from config.tests import cases
from payments.books import verification
from payments.gateways.base import Item, PlanTerms
from payments.gateways.stripe import StripeGateway
from payments.models import Entitlement, Invoice, Payment, Plan, Subscription
from payments.services.gateway_news import changes, followups
from payments.tests import stripe_endings, stripe_stand_in
from payments.tests.kit import balances

URL = "/api/v1/payments/subscribe"
MINE = "/api/v1/payments/subscription"
VISA, FAILS_LATER = "pm_card_visa", "pm_card_chargeCustomerFail"


@pytest.fixture
def clock():
    with time_machine.travel(datetime(2027, 4, 1, tzinfo=UTC)) as moved:
        yield moved


@pytest.fixture
def at_stripe(settings, monkeypatch, db, clock) -> Iterator[stripe_stand_in.StripeStandIn]:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)
    Plan.objects.create(code="large", name="Large", amount=2999, currency="USD")
    Plan.objects.create(code="huge", name="Huge", amount=4999, currency="USD")
    Plan.objects.create(code="trial", name="Trial", amount=999, currency="USD", trial_days=7)
    with stripe_stand_in.StripeStandIn() as running:
        settings.PAYMENT_GATEWAY = "stripe"
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = stripe_stand_in.KEY
        settings.STRIPE_WEBHOOK_SECRETS = [stripe_stand_in.SECRET]
        yield running
    assert verification.verify_ledger().discrepancies == 0


@pytest.fixture
def post(client_for, viewer):
    """Return a function that makes a request of the subscriber, and returns status and data."""

    def send(path, body=None):
        client = client_for(viewer)
        client.raise_request_exception = False  # a 503 is an answer
        answer = client.post(path, body or {})
        return answer.status_code, answer.data

    return send


def mine() -> Subscription:
    return Subscription.objects.get()


def captured() -> QuerySet[Payment]:
    return Payment.objects.filter(captured__gt=0).order_by("captured_at")


def amounts() -> list[int]:
    return list(Invoice.objects.order_by("period_start").values_list("amount", flat=True))


def follow() -> Subscription:
    """Take over the news of the only subscription, as a webhook event does."""
    changes.process_change(
        gateway="stripe", kind="subscription", external_id=str(mine().external_id)
    )
    return mine()


def test_two_upgrades_in_a_minute_cost_the_difference(at_stripe, post, clock):
    post(URL, {"payment_method": VISA})
    for plan in ("large", "huge"):
        clock.shift(timedelta(seconds=20))
        status, data = post(f"{MINE}/change", {"plan": plan})
        assert (status, data["plan"]) == (200, plan)
    assert amounts() == [999, 2000, 2000]


def test_refunds_and_disputes_at_stripe_are_not_credited(at_stripe, post, clock):
    post(URL, {"payment_method": VISA})
    payment = Payment.objects.get()
    at_stripe.create_refund(payment.external_id, "500", {})  # no webhook event comes
    clock.shift(timedelta(seconds=20))
    post(f"{MINE}/change", {"plan": "large"})
    assert amounts() == [999, 2500]
    second = Invoice.objects.get(amount=2500).payments.get()
    at_stripe.open_dispute(second.external_id, 2500)
    clock.shift(timedelta(seconds=20))
    post(f"{MINE}/change", {"plan": "huge"})
    assert amounts() == [999, 2500, 4999 - 499]


def test_a_declined_upgrade_succeeds_an_hour_later(at_stripe, post, clock):
    """Stripe repeats the answer to a key for a day, a decline too: the next attempt has another key."""
    post(URL, {"payment_method": VISA})
    post(f"{MINE}/payment-method", {"payment_method": FAILS_LATER})
    for _ in range(2):
        status, _data = post(f"{MINE}/change", {"plan": "large"})
        assert (status, mine().plan.code, amounts()) == (402, "monthly", [999])
    (card,) = [
        row
        for row in at_stripe.objects.values()
        if row["object"] == "payment_method" and row["_card"] == FAILS_LATER
    ]
    card["_card"] = VISA  # the bank accepts the same card again
    clock.shift(timedelta(hours=1))

    status, data = post(f"{MINE}/change", {"plan": "large"})

    assert (status, data["plan"], len(amounts())) == (200, "large", 2)


def test_an_upgrade_whose_answer_was_lost_is_billed_once(at_stripe, post, clock, monkeypatch):
    post(URL, {"payment_method": VISA})
    clock.shift(timedelta(minutes=5))
    answer = at_stripe.answer

    def lose_updates(method, url, *rest):
        result = answer(method, url, *rest)
        if method == "POST" and url.endswith(f"subscriptions/{mine_at_stripe}"):
            raise ConnectionAbortedError
        return result

    mine_at_stripe = mine().external_id
    with monkeypatch.context() as patch:
        patch.setattr(at_stripe, "answer", lose_updates)
        assert post(f"{MINE}/change", {"plan": "large"})[0] == 503

    status, data = post(f"{MINE}/change", {"plan": "large"})

    assert (status, data["errors"][0]["code"]) == (409, "plan_unchanged")
    assert (mine().plan.code, amounts()) == ("large", [999, 2000])


def test_a_trial_without_a_card_ends_with_its_days(at_stripe, post, clock, viewer):
    assert post(URL, {"plan": "trial"})[1]["subscription"]["status"] == "trialing"
    clock.shift(timedelta(days=7, minutes=1))
    at_stripe.renew(mine().external_id)
    assert follow().status == "canceled"
    assert not viewer.entitlements.live().exists()
    assert (amounts(), balances()) == ([], {})
    status, data = post(URL, {"plan": "trial"})
    assert (status, data["subscription"]["status"]) == (201, "incomplete")


def test_a_trial_on_a_checkout_ends_without_a_card_too(at_stripe):
    plan = PlanTerms("trial", "Trial", 999, "USD", "month", trial_days=7)
    StripeGateway().create_checkout(
        Item("sub-1", "Videos", 999, "USD", plan), customer="", key="checkout:1",
        return_url="https://videos.example.com/", expires_at=datetime.now(UTC) + timedelta(hours=2),
    )  # fmt: skip
    sent = next(body for _, path, body in at_stripe.requests if path == "checkout/sessions")
    behavior = {"end_behavior": {"missing_payment_method": "cancel"}}
    assert sent["subscription_data"]["trial_settings"] == behavior


def test_a_cancellation_in_the_customer_portal_is_seen_and_undone(at_stripe, post):
    post(URL, {"payment_method": VISA})
    stripe_endings.cancel_in_portal(at_stripe, str(mine().external_id))
    assert follow().cancel_at_period_end

    status, data = post(f"{MINE}/resume")

    assert (status, data["cancel_at_period_end"]) == (200, False)
    at_stripe.renew(mine().external_id)
    assert (follow().status, len(amounts())) == ("active", 2)


def test_a_cancellation_that_cannot_be_undone_says_so(at_stripe, post, monkeypatch):
    post(URL, {"payment_method": VISA})
    post(f"{MINE}/cancel")
    answer = at_stripe.answer

    def ignore_updates(method, url, *rest):
        is_update = method == "POST" and url.endswith(mine_at_stripe)
        return answer("GET", url, {}, rest[-1]) if is_update else answer(method, url, *rest)

    mine_at_stripe = str(mine().external_id)
    with monkeypatch.context() as patch:
        patch.setattr(at_stripe, "answer", ignore_updates)
        status, data = post(f"{MINE}/resume")

    assert (status, data["errors"][0]["code"]) == (409, "not_resumed")
    assert mine().cancel_at_period_end


def test_a_cancellation_for_a_moment_within_the_period_can_be_undone(at_stripe, post):
    post(URL, {"payment_method": VISA})
    subscription = at_stripe.objects[str(mine().external_id)]
    subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"] - 86_400
    assert follow().cancel_at_period_end
    assert post(f"{MINE}/resume")[1]["cancel_at_period_end"] is False
    assert subscription["cancel_at"] is None


class TestRenewalsThatStripeHoldsBack:
    """For about an hour the invoice of a renewal is a draft, while the subscription is active."""

    @pytest.fixture
    def draft(self, at_stripe, post, clock) -> dict:
        post(URL, {"payment_method": VISA})
        clock.shift(timedelta(days=30, minutes=1))
        return at_stripe.begin_renewal(mine().external_id)

    def collect(self, at_stripe, clock, draft) -> None:
        """Let the hour pass, and the news of it arrive."""
        clock.shift(timedelta(hours=1))
        at_stripe.advance_invoice(draft["id"])
        for _ in range(2):
            followups.run()
            follow()

    def test_a_draft_is_collected_after_an_hour(self, at_stripe, clock, draft):
        assert (follow().status, amounts()) == ("active", [999])
        self.collect(at_stripe, clock, draft)
        assert (draft["status"], amounts(), Payment.objects.count()) == ("paid", [999, 999], 2)

    @pytest.mark.parametrize("has_news", [True, False])
    def test_a_deactivated_user_pays_no_draft(
        self, at_stripe, clock, draft, client_for, admin, viewer, has_news
    ):
        if has_news:
            follow()
        url = f"/api/v1/users/{viewer.pk}/status"
        assert client_for(admin).patch(url, {"is_active": False}).status_code == 200
        followups.run()
        assert mine().status == "canceled"
        followups.run()
        assert draft["status"] == "void"
        self.collect(at_stripe, clock, draft)
        assert (draft["status"], [p.captured for p in captured()]) == ("void", [999])
        assert balances()["deferred:USD"] == 999

    def test_the_user_who_cancels_at_once_pays_no_draft(self, at_stripe, post, clock, draft):
        status, data = post(f"{MINE}/cancel", {"at_period_end": False})
        assert (status, data["status"], draft["status"]) == (200, "canceled", "void")
        self.collect(at_stripe, clock, draft)
        assert (draft["status"], captured().count()) == ("void", 1)


@cases.crossed(plan=["large", "dear year", "dear month"], days=[30, 45])
def test_an_upgrade_after_a_cancellation_in_the_portal_lasts_its_whole_period(
    at_stripe, post, clock, plan, days
):
    """Stripe's `cancel_at` is a moment that does not move: it must not cut the paid period short."""
    terms = {"currency": "USD", "amount": 90_000}
    Plan.objects.create(code="dear year", name="Year", interval="year", **terms)
    Plan.objects.create(code="dear month", name="Month", **terms)
    post(URL, {"payment_method": VISA})
    subscription = at_stripe.objects[str(mine().external_id)]
    stripe_endings.cancel_in_portal(at_stripe, subscription["id"])
    subscription["cancel_at"] += (days - 30) * 86_400
    follow()
    clock.shift(timedelta(days=15))

    status, data = post(f"{MINE}/change", {"plan": plan})

    end = subscription["items"]["data"][0]["current_period_end"]
    assert (status, data["plan"], data["cancel_at_period_end"]) == (200, plan, True)
    assert subscription["cancel_at"] == end
    assert data["current_period_end"] == f"{datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}"
    at_stripe.renew(subscription["id"])
    assert (follow().status, len(amounts())) == ("canceled", 2)


def test_a_year_that_was_canceled_in_the_portal_does_not_renew_as_a_dearer_month(
    at_stripe, post, clock
):
    Plan.objects.create(code="year", name="Year", amount=9_900, currency="USD", interval="year")
    Plan.objects.create(code="month", name="Month", amount=20_000, currency="USD")
    post(URL, {"plan": "year", "payment_method": VISA})
    stripe_endings.cancel_in_portal(at_stripe, str(mine().external_id))
    follow()
    clock.shift(timedelta(days=15))
    assert post(f"{MINE}/change", {"plan": "month"})[0] == 200
    clock.shift(timedelta(days=31))
    at_stripe.renew(mine().external_id)
    assert (follow().status, len(amounts())) == ("canceled", 2)


def test_the_money_that_an_upgrade_deducted_ends_the_subscription_when_it_is_lost(
    at_stripe, post, clock
):
    """As at the sandbox: the access waits for the bank, a loss ends it, and one can pay again."""
    post(URL, {"payment_method": VISA})
    first = Payment.objects.get()
    clock.shift(timedelta(days=1))
    assert post(f"{MINE}/change", {"plan": "large"})[0] == 200

    def live() -> int:
        return Entitlement.objects.live().count()

    def dispute_of(payment: Payment, amount: int) -> str:
        dispute = at_stripe.open_dispute(payment.external_id, amount)
        return hear_of(dispute)

    def hear_of(dispute: str) -> str:
        payment = at_stripe.objects[dispute]["payment_intent"]
        changes.process_change(gateway="stripe", kind="payment", external_id=payment)
        return dispute

    def lose(dispute: str) -> None:
        at_stripe.objects[dispute]["status"] = "lost"
        hear_of(dispute)

    earlier = dispute_of(first, 999)
    assert (live(), mine().status) == (0, "active")
    assert post(f"{MINE}/change", {"plan": "huge"})[0] == 200
    assert (live(), mine().plan.code) == (1, "huge")
    lose(earlier)
    assert (live(), mine().status) == (1, "active")
    deducted = dispute_of(captured()[1], 100)
    assert live() == 0
    lose(deducted)
    assert mine().status == "canceled"
    followups.run()
    assert post(URL, {"payment_method": VISA})[0] == 201
