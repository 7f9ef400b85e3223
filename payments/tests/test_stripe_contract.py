"""Stripe keeps the contract of all gateways, and what only Stripe can break. Against the stand-in."""

from datetime import timedelta

import pytest
import stripe
from django.utils import timezone

pytest.register_assert_rewrite("payments.tests.contract")

from payments.gateways.base import (  # noqa: E402
    AmountRefused,
    Change,
    Declined,
    GatewayAway,
    Item,
    NotThere,
    OutcomeUnknown,
    RefundRefused,
)
from payments.gateways.stripe import StripeGateway  # noqa: E402
from payments.gateways.stripe.client import API_VERSION  # noqa: E402
from payments.tests import stripe_stand_in  # noqa: E402
from payments.tests.contract import RETURN_URL, GatewayContract  # noqa: E402

EVENTS = {
    "payment": "payment_intent.succeeded",
    "checkout": "checkout.session.completed",
    "subscription": "customer.subscription.updated",
}


class StandInBench:
    currency = "USD"
    methods = {
        "good": "pm_card_visa",
        "declined": "pm_card_chargeDeclined",
        "needs_action": "pm_card_authenticationRequired",
        "pending_refund": "pm_card_pendingRefund",
        "fails_later": "pm_card_chargeCustomerFail",
    }

    def __init__(self, stripe_: stripe_stand_in.StripeStandIn):
        self.stripe, self.gateway = stripe_, StripeGateway()
        self.complete_checkout = stripe_.complete_checkout
        self.open_dispute = stripe_.open_dispute
        self.reinstate = stripe_.reinstate
        self.fail_refund = stripe_.fail_refund

    def signed(self, kind: str, object_id: str) -> tuple[bytes, dict[str, str]]:
        return self.stripe.signed(EVENTS[kind], object_id)


@pytest.fixture
def bench(settings, monkeypatch):
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)
    with stripe_stand_in.StripeStandIn() as running:
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = stripe_stand_in.KEY
        settings.STRIPE_WEBHOOK_SECRETS = [stripe_stand_in.SECRET]
        yield StandInBench(running)


class TestStripe(GatewayContract):
    @pytest.fixture(autouse=True)
    def _stand_in(self, bench):
        self.stripe = bench.stripe

    # --- answers that do not come ---

    def test_a_lost_answer_is_asked_for_again_with_the_same_key(self):
        self.stripe.trouble = [None, "silence", 500, "500 after"]  # the card is looked at first

        with pytest.raises(OutcomeUnknown):
            self.charge()

        assert len(self.changes("payment")) == 1
        assert self.charge().external_id == self.changes("payment")[0]

    def test_the_sdk_bridges_a_short_silence(self):
        self.stripe.trouble = [None, "silence"]

        assert self.charge().status == "captured"
        assert len(self.changes("payment")) == 1

    def test_a_lost_answer_and_then_another_card(self):
        """The key is the first card's: what it charged is found, and nothing more is charged."""
        self.stripe.trouble = [None] + ["silence"] * 3
        with pytest.raises(OutcomeUnknown):
            self.charge("good")

        charged = self.charge("pm_card_mastercard")

        assert self.changes("payment") == [charged.external_id]

    def test_a_decline_whose_answer_was_lost_is_one_for_another_card(self):
        self.stripe.trouble = [None] + ["silence"] * 3
        with pytest.raises(OutcomeUnknown):
            self.charge("declined")

        with pytest.raises(Declined) as declined:
            self.charge("good")

        assert declined.value.decline_code == "generic_decline"

    def test_what_the_search_does_not_find_yet_remains_unknown(self):
        self.charge()
        for thing in self.stripe.objects.values():
            thing["metadata"] = {}

        with pytest.raises(OutcomeUnknown):
            self.charge("pm_card_mastercard")

    @pytest.mark.parametrize("status", [500, 503])
    def test_an_error_of_theirs_leaves_the_outcome_unknown(self, status):
        self.stripe.trouble = [None] + [status] * 3

        with pytest.raises(OutcomeUnknown):
            self.charge()

    def test_too_many_requests_have_done_nothing(self):
        self.stripe.trouble = [None, 429]

        with pytest.raises(GatewayAway) as raised:
            self.charge()

        assert type(raised.value) is GatewayAway
        assert self.changes("payment") == []

    def test_a_wrong_key_is_told_without_telling_it(self, settings, caplog):
        settings.STRIPE_SECRET_KEY = "sk_test_wrong_one"

        with pytest.raises(GatewayAway) as raised:
            self.gateway.fetch_payment("pi_1")

        assert "STRIPE_SECRET_KEY" in caplog.text
        assert "sk_test" not in caplog.text + str(raised.value)

    def test_no_key_at_all(self, settings, caplog):
        settings.STRIPE_SECRET_KEY = ""

        with pytest.raises(GatewayAway):
            self.charge()

        assert "STRIPE_SECRET_KEY is not set" in caplog.text

    def test_every_question_names_the_version(self):
        self.charge()

        assert self.stripe.versions == {API_VERSION}

    def test_the_shapes_are_those_that_the_sdk_knows(self):
        assert stripe._api_version._ApiVersion.CURRENT == API_VERSION

    def test_the_sdk_writes_nothing_into_our_home(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setattr("stripe._telemetry_id._loaded", False)

        self.charge()

        assert list(tmp_path.iterdir()) == []

    # --- payments ---

    def test_the_fee_is_known(self):
        assert self.gateway.fetch_payment(self.charge().external_id).fee == 1999 * 29 // 1000 + 30

    def test_a_key_is_remembered_longer_than_stripe_does(self):
        payment = self.charge()
        refund = self.refund(payment, 500)
        self.stripe.keys.clear()

        assert self.refund(payment, 500) == refund
        assert len(self.gateway.fetch_payment(payment.external_id).refunds) == 1

    def test_all_pages_of_refunds_are_read(self):
        payment = self.charge(amount=20_000)
        for number in range(105):
            self.stripe.create_refund(payment.external_id, "1", {"key": str(number)})

        refunds = self.gateway.fetch_payment(payment.external_id).refunds

        assert len({row.external_id for row in refunds}) == 105

    def test_a_part_that_stripe_cannot_count_is_refused(self):
        charged = self.gateway.charge(
            amount=1990, currency="KWD", payment_method="pm_card_visa", reference="order-1",
            customer="", key="order:1:0",
        )  # fmt: skip

        with pytest.raises(RefundRefused):
            self.refund(charged, 995)

        assert self.gateway.fetch_payment(charged.external_id).refunds == ()

    def test_an_inquiry_moves_nothing(self):
        payment = self.charge()
        self.stripe.open_dispute(payment.external_id, 1999, inquiry=True)

        (inquiry,) = self.gateway.fetch_payment(payment.external_id).disputes

        assert (inquiry.status, inquiry.amount) == ("warning", 1999)
        assert (inquiry.withdrawn, inquiry.reinstated, inquiry.fee) == (0, 0, 0)

    def test_a_dispute_has_a_fee(self):
        payment = self.charge()
        self.stripe.open_dispute(payment.external_id, 1999)

        assert self.gateway.fetch_payment(payment.external_id).disputes[0].fee == 1500

    def test_an_authentication_that_fails(self):
        charged = self.charge("needs_action")

        self.stripe.authenticate(charged.external_id, succeeds=False)

        fetched = self.gateway.fetch_payment(charged.external_id)
        assert (fetched.status, fetched.captured) == ("failed", 0)
        assert fetched.decline_code == "payment_intent_authentication_failure"

    def test_an_authentication_that_succeeds(self):
        charged = self.charge("needs_action")

        self.stripe.authenticate(charged.external_id)

        assert self.gateway.fetch_payment(charged.external_id).captured == 1999

    def test_too_little_is_not_even_asked_for(self):
        self.stripe.requests.clear()

        with pytest.raises(AmountRefused):
            self.charge(amount=49)

        assert self.stripe.requests == []

    def test_hundredths_are_sent_and_read(self):
        charged = self.gateway.charge(
            amount=500, currency="ISK", payment_method="pm_card_visa", reference="order-1",
            customer="", key="order:1:0",
        )  # fmt: skip

        refund = self.refund(charged, 200)

        assert self.stripe.objects[charged.external_id]["amount"] == 50_000
        fetched = self.gateway.fetch_payment(charged.external_id)
        assert (fetched.amount, fetched.captured, fetched.currency) == (500, 500, "ISK")
        assert fetched.refunds == (refund,)
        assert refund.amount == 200

    # --- hosted pages ---

    def test_a_page_bears_our_reference_everywhere(self):
        page = self.page()

        sent = next(body for _, path, body in self.stripe.requests if path == "checkout/sessions")
        assert sent["client_reference_id"] == "order-1"
        assert sent["metadata"] == {"order_id": "order-1", "key": "checkout:1"}
        assert sent["payment_intent_data"]["metadata"] == {"order_id": "order-1"}
        assert sent["success_url"] == sent["cancel_url"] == RETURN_URL
        assert page.status == "open"

    @pytest.mark.parametrize(
        ("wish", "least", "most"),
        [
            (timedelta(minutes=1), timedelta(minutes=30), timedelta(minutes=32)),
            (timedelta(hours=3), timedelta(hours=2, minutes=59), timedelta(hours=3)),
            (timedelta(days=9), timedelta(hours=23), timedelta(hours=24)),
        ],
    )
    def test_the_wish_when_a_page_expires_is_kept_within_stripes_limits(self, wish, least, most):
        now = timezone.now()
        page = self.gateway.create_checkout(
            Item("order-1", "A video", 1999, "USD"),
            customer="", key="checkout:1", return_url=RETURN_URL, expires_at=now + wish,
        )  # fmt: skip

        until = self.stripe.objects[page.external_id]["expires_at"] - now.timestamp()
        assert least.total_seconds() <= until <= most.total_seconds()

    def test_a_page_is_found_again_whatever_address_it_returns_to(self):
        page = self.page()

        again = self.gateway.create_checkout(
            Item("order-1", "A video", 1999, "USD"),
            customer="", key="checkout:1", return_url="https://other.example.com/",
            expires_at=timezone.now() + timedelta(hours=5),
        )  # fmt: skip

        assert again.external_id == page.external_id
        assert self.changes("checkout") == [page.external_id]

    def test_a_debit_under_way_is_not_paid(self):
        page = self.page()
        self.stripe.complete_checkout(page.external_id, paid=False)

        found = self.gateway.fetch_checkout(page.external_id)

        assert found.status == "open"
        assert self.gateway.expire_checkout(page.external_id).status == "open"
        payment = self.gateway.fetch_payment(found.payment_id)
        assert (payment.status, payment.captured) == ("processing", 0)

    def test_a_page_with_free_days(self):
        plan = self.plan(trial_days=7)
        page = self.page(Item("sub-1", "Videos", plan.amount, plan.currency, plan))

        self.stripe.complete_checkout(page.external_id)

        found = self.gateway.fetch_checkout(page.external_id)
        assert found.status == "complete"
        assert self.gateway.fetch_subscription(found.subscription_id).status == "trialing"

    # --- subscriptions ---

    def test_a_card_that_can_be_kept_but_not_charged_begins_nothing(self):
        for _ in range(2):
            with pytest.raises(Declined) as declined:
                self.start("fails_later")
            assert declined.value.decline_code == "generic_decline"

        assert self.changes("subscription") == []
        assert self.stripe.listing("invoice")["data"] == []

    def test_a_lost_answer_and_then_another_card_begins_once(self):
        self.customer()
        self.gateway.ensure_plan(self.plan())
        self.stripe.trouble = [None] * 3 + ["silence"] * 3  # customer, plan and card are heard
        with pytest.raises(OutcomeUnknown):
            self.start("good")

        begun = self.start("pm_card_mastercard")

        assert begun.status == "active"
        assert self.changes("subscription") == [begun.external_id]

    def test_an_upgrade_that_the_bank_asks_about_changes_nothing(self):
        begun = self.start()
        before = self.gateway.set_payment_method(
            begun.external_id, "pm_card_authenticationRequired", customer=self.customer()
        )
        self.stripe.asks_always = True

        with pytest.raises(Declined) as declined:
            self.change(begun, self.plan("large", 2999))

        assert declined.value.decline_code == "authentication_required"
        assert self.gateway.fetch_subscription(begun.external_id) == before

    def test_a_plan_whose_price_is_gone_is_our_trouble(self, caplog):
        with pytest.raises(GatewayAway) as raised:
            self.start(plan=self.plan(ref="price_gone"))

        assert not isinstance(raised.value, NotThere)
        assert "price_gone" in caplog.text

    def test_a_downgrade_comes_with_the_next_period(self):
        begun = self.start(plan=self.plan("large", 2999))
        self.change(begun, self.plan(), at_period_end=True)

        self.stripe.renew(begun.external_id)

        renewed = self.gateway.fetch_subscription(begun.external_id)
        assert (renewed.plan_code, renewed.next_plan_code) == ("basic", "")
        assert [invoice.amount for invoice in renewed.invoices] == [2999, 999]
        assert renewed.invoices[1].period_start == begun.period_end

    def test_a_renewal_that_fails_is_paid_with_another_card(self):
        begun = self.start()
        customer = self.customer()
        self.gateway.set_payment_method(
            begun.external_id, "pm_card_chargeCustomerFail", customer=customer
        )
        self.stripe.renew(begun.external_id)
        late = self.gateway.fetch_subscription(begun.external_id)

        with pytest.raises(Declined):
            self.gateway.set_payment_method(
                begun.external_id, "pm_card_chargeCustomerFail", customer=customer
            )
        paid = self.gateway.set_payment_method(begun.external_id, "pm_card_visa", customer=customer)

        assert (late.status, late.invoices[1].status) == ("past_due", "open")
        assert (paid.status, paid.invoices[1].status) == ("active", "paid")

    def test_the_card_becomes_the_customers_own(self):
        self.start()

        customer = self.stripe.objects[self.customer()]
        (card,) = self.stripe.listing("payment_method")["data"]
        assert customer["invoice_settings"] == {"default_payment_method": card["id"]}
        assert card["customer"] == customer["id"]

    def test_a_plan_that_has_a_name_is_not_looked_for(self):
        self.stripe.requests.clear()

        assert self.gateway.ensure_plan(self.plan(ref="price_1")) == "price_1"
        assert self.stripe.requests == []

    def test_a_plan_is_found_when_stripe_has_forgotten_the_key(self):
        ref = self.gateway.ensure_plan(self.plan())
        self.stripe.keys.clear()

        assert self.gateway.ensure_plan(self.plan()) == ref

    def test_free_days_stay_free_after_a_change_of_plan(self):
        begun = self.start(plan=self.plan(trial_days=7))

        changed = self.change(begun, self.plan("large", 2999))

        assert (changed.plan_code, changed.status) == ("large", "trialing")
        assert changed.period_end == begun.period_end
        assert changed.invoices == ()

    # --- news ---

    def test_changes_of_older_objects_are_found_by_their_events(self):
        payment, begun = self.charge(), self.start()
        for thing in self.stripe.objects.values():
            thing["created"] -= 3600
        self.stripe.fail_refund(self.refund(payment, 500).external_id)
        self.gateway.cancel_subscription(begun.external_id, at_period_end=True)

        assert set(self.gateway.list_changes(self.began)) == {
            Change("payment", payment.external_id),
            Change("subscription", begun.external_id),
        }

    def test_disputes_and_refunds_lead_to_their_payment(self):
        payment = self.charge()
        for thing in self.stripe.objects.values():
            thing["created"] -= 3600
        self.stripe.open_dispute(payment.external_id, 1999)

        assert list(self.gateway.list_changes(self.began)) == [
            Change("payment", payment.external_id)
        ]

    def test_a_customer_who_is_gone_is_no_missing_payment(self, caplog):
        with pytest.raises(GatewayAway) as raised:
            self.gateway.charge(
                amount=1999, currency="USD", payment_method="pm_card_visa", reference="order-1",
                customer="cus_gone", key="order:1:0",
            )  # fmt: skip

        assert not isinstance(raised.value, NotThere)
        assert "cus_gone" in caplog.text

    @pytest.mark.parametrize(
        ("key", "live"),
        [("sk_test_1", False), ("sk_live_1", True), ("rk_live_1", True), ("rk_test_1", False)],
    )
    def test_what_clients_may_know(self, settings, key, live):
        settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY = key, "pk_test_1"

        assert self.gateway.public == {"publishable_key": "pk_test_1", "livemode": live}
