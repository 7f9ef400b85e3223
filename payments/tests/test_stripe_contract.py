"""The Stripe gateway against the stand-in: the contract of all gateways, and Stripe's own cases."""

from collections.abc import Iterator
from dataclasses import replace
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
    OutcomeUnknown,
    ReferenceGone,
    RefundRefused,
)
from payments.gateways.stripe import StripeGateway  # noqa: E402
from payments.gateways.stripe.client import API_VERSION  # noqa: E402
from payments.tests import stripe_stand_in  # noqa: E402
from payments.tests.contract import RETURN_URL, Bench, GatewayContract  # noqa: E402

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
def bench(settings, monkeypatch) -> Iterator[Bench]:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)
    with stripe_stand_in.StripeStandIn() as running:
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = stripe_stand_in.KEY
        settings.STRIPE_WEBHOOK_SECRETS = [stripe_stand_in.SECRET]
        yield StandInBench(running)


class TestStripe(GatewayContract):
    @pytest.fixture(autouse=True)
    def _stand_in(self, bench: StandInBench) -> None:
        self.stripe = bench.stripe

    # --- lost answers and errors ---

    def test_a_lost_answer_is_asked_for_again_with_the_same_key(self):
        # None: the first request looks up the card.
        self.stripe.trouble = [None, "silence", 500, "500 after"]

        with pytest.raises(OutcomeUnknown):
            self.charge()

        assert len(self.changes("payment")) == 1
        assert self.charge().external_id == self.changes("payment")[0]

    def test_the_sdk_repeats_a_request_after_one_lost_answer(self):
        self.stripe.trouble = [None, "silence"]

        assert self.charge().status == "captured"
        assert len(self.changes("payment")) == 1

    def test_another_card_after_a_lost_answer_charges_nothing_more(self):
        """The key belongs to the first card's charge: that charge is found, and no other is made."""
        self.stripe.trouble = [None, "silence", "silence", "silence"]
        with pytest.raises(OutcomeUnknown):
            self.charge("good")

        charged = self.charge("pm_card_mastercard")

        assert self.changes("payment") == [charged.external_id]

    def test_another_card_after_a_lost_decline_is_told_of_the_decline(self):
        self.stripe.trouble = [None, "silence", "silence", "silence"]
        with pytest.raises(OutcomeUnknown):
            self.charge("declined")

        with pytest.raises(Declined) as declined:
            self.charge("good")

        assert declined.value.decline_code == "generic_decline"

    def test_a_charge_that_the_search_misses_stays_unknown(self):
        self.charge()
        for thing in self.stripe.objects.values():
            thing["metadata"] = {}

        with pytest.raises(OutcomeUnknown):
            self.charge("pm_card_mastercard")

    @pytest.mark.parametrize("busy", ["lock_timeout", "key in use"])
    def test_the_sdk_repeats_a_request_that_met_another_one(self, busy):
        self.stripe.trouble = [None, busy, busy]

        assert self.charge().status == "captured"
        assert len(self.changes("payment")) == 1

    @pytest.mark.parametrize(
        ("busy", "error"), [("lock_timeout", GatewayAway), ("key in use", OutcomeUnknown)]
    )
    def test_a_request_that_always_meets_another_one_can_be_repeated_later(self, busy, error):
        self.stripe.trouble = [None, busy, busy, busy]

        with pytest.raises(error):
            self.charge()

        assert self.charge().status == "captured"

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_server_error_leaves_the_outcome_unknown(self, status):
        self.stripe.trouble = [None] + [status] * 3

        with pytest.raises(OutcomeUnknown):
            self.charge()

    def test_a_429_answer_means_that_nothing_happened(self):
        self.stripe.trouble = [None, 429]

        with pytest.raises(GatewayAway) as raised:
            self.charge()

        assert type(raised.value) is GatewayAway
        assert self.changes("payment") == []

    @pytest.mark.promise("no-secrets-kept")
    def test_a_wrong_key_is_reported_without_showing_it(self, settings, caplog):
        settings.STRIPE_SECRET_KEY = "sk_test_wrong_one"

        with pytest.raises(GatewayAway) as raised:
            self.gateway.fetch_payment("pi_1")

        assert "STRIPE_SECRET_KEY" in caplog.text
        assert "sk_test" not in caplog.text + str(raised.value)

    def test_a_missing_key_is_reported(self, settings, caplog):
        settings.STRIPE_SECRET_KEY = ""

        with pytest.raises(GatewayAway):
            self.charge()

        assert "STRIPE_SECRET_KEY is not set" in caplog.text

    def test_every_request_names_the_api_version(self):
        self.charge()

        assert self.stripe.versions == {API_VERSION}

    def test_our_api_version_is_the_sdks(self):
        assert stripe._api_version._ApiVersion.CURRENT == API_VERSION

    def test_the_sdk_writes_no_files(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setattr("stripe._telemetry_id._loaded", False)

        self.charge()

        assert list(tmp_path.iterdir()) == []

    # --- payments ---

    def test_a_payment_has_stripes_fee(self):
        assert self.gateway.fetch_payment(self.charge().external_id).fee == 1999 * 29 // 1000 + 30

    def test_a_refund_is_found_after_stripe_forgot_its_key(self):
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

    def test_a_refund_that_stripe_cannot_express_is_refused(self):
        charged = self.gateway.charge(
            amount=1990, currency="KWD", payment_method="pm_card_visa", reference="order-1",
            customer="", key="order:1:0",
        )  # fmt: skip

        with pytest.raises(RefundRefused):
            self.refund(charged, 995)

        assert self.gateway.fetch_payment(charged.external_id).refunds == ()

    @pytest.mark.promise("inquiry-moves-nothing")
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

    def test_an_amount_below_the_minimum_sends_no_request(self):
        self.stripe.requests.clear()

        with pytest.raises(AmountRefused):
            self.charge(amount=49)

        assert self.stripe.requests == []

    @pytest.mark.promise("currency-digits")
    def test_isk_is_sent_and_read_in_hundredths(self):
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

    # --- checkouts ---

    def test_a_checkout_carries_our_order_id(self):
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
    def test_the_expiry_of_a_checkout_is_clamped_to_stripes_limits(self, wish, least, most):
        now = timezone.now()
        page = self.gateway.create_checkout(
            Item("order-1", "A video", 1999, "USD"),
            customer="", key="checkout:1", return_url=RETURN_URL, expires_at=now + wish,
        )  # fmt: skip

        until = self.stripe.objects[page.external_id]["expires_at"] - now.timestamp()
        assert least.total_seconds() <= until <= most.total_seconds()

    def test_a_checkout_is_found_again_with_another_return_url(self):
        page = self.page()

        again = self.gateway.create_checkout(
            Item("order-1", "A video", 1999, "USD"),
            customer="", key="checkout:1", return_url="https://other.example.com/",
            expires_at=timezone.now() + timedelta(hours=5),
        )  # fmt: skip

        assert again.external_id == page.external_id
        assert self.changes("checkout") == [page.external_id]

    def test_a_checkout_with_a_pending_bank_debit_is_not_paid(self):
        page = self.page()
        self.stripe.complete_checkout(page.external_id, paid=False)

        fetched = self.gateway.fetch_checkout(page.external_id)

        assert fetched.status == "open"
        assert self.gateway.expire_checkout(page.external_id).status == "open"
        payment = self.gateway.fetch_payment(fetched.payment_id)
        assert (payment.status, payment.captured) == ("processing", 0)

    def test_a_checkout_whose_bank_debit_fails_is_over(self):
        page = self.page()
        self.stripe.complete_checkout(page.external_id, paid=False)
        self.stripe.end_bank_debit(page.external_id, succeeds=False)

        assert self.gateway.fetch_checkout(page.external_id).status == "expired"
        assert self.gateway.expire_checkout(page.external_id).status == "expired"

    def test_a_checkout_whose_bank_debit_succeeds_is_paid(self):
        page = self.page()
        self.stripe.complete_checkout(page.external_id, paid=False)
        self.stripe.end_bank_debit(page.external_id, succeeds=True)

        paid = self.gateway.fetch_checkout(page.external_id)
        assert paid.status == "complete"
        assert self.gateway.fetch_payment(paid.payment_id).captured == 1999

    def test_all_pages_of_changes_are_read(self):
        for number in range(130):
            self.stripe.intent(1999, "usd", {"order_id": str(number)})

        assert len(self.changes("payment")) == 130

    def test_a_subscription_whose_collection_is_paused_stays_active(self):
        """Stripe voids its invoices meanwhile: the service is free."""
        begun = self.start()
        subscription = self.stripe.objects[begun.external_id]
        subscription["pause_collection"] = {"behavior": "void", "resumes_at": None}
        subscription["default_payment_method"] = "pm_card_chargeCustomerFail"
        self.stripe.renew(begun.external_id)
        subscription["status"] = "active"
        self.stripe.void_invoice(self.stripe.listing("invoice")["data"][0]["id"])

        paused = self.gateway.fetch_subscription(begun.external_id)

        assert paused.status == "active"
        assert [invoice.status for invoice in paused.invoices] == ["paid", "void"]

    def test_a_checkout_of_a_plan_with_a_trial(self):
        plan = self.plan(trial_days=7)
        page = self.page(Item("sub-1", "Videos", plan.amount, plan.currency, plan))

        self.stripe.complete_checkout(page.external_id)

        paid = self.gateway.fetch_checkout(page.external_id)
        assert paid.status == "complete"
        assert self.gateway.fetch_subscription(paid.subscription_id).status == "trialing"

    # --- subscriptions ---

    def test_a_card_that_can_be_attached_but_not_charged_starts_nothing(self):
        for _ in range(2):
            with pytest.raises(Declined) as declined:
                self.start("fails_later")
            assert declined.value.decline_code == "generic_decline"

        assert self.changes("subscription") == []
        assert self.stripe.listing("invoice")["data"] == []

    def test_another_card_after_a_lost_answer_starts_one_subscription(self):
        self.customer()
        self.gateway.ensure_plan(self.plan())
        # The first three requests look up the customer, the plan and the card.
        self.stripe.trouble = [None, None, None, "silence", "silence", "silence"]
        with pytest.raises(OutcomeUnknown):
            self.start("good")

        begun = self.start("pm_card_mastercard")

        assert begun.status == "active"
        assert self.changes("subscription") == [begun.external_id]

    def test_an_upgrade_that_needs_authentication_waits_for_it(self):
        begun = self.start()
        before = self.gateway.set_payment_method(
            begun.external_id, "pm_card_authenticationRequired", customer=self.customer()
        )
        self.stripe.asks_always = True

        waiting = self.change(begun, self.plan("large", 2999))

        *paid, asked = waiting.invoices
        assert replace(waiting, invoices=tuple(paid)) == before
        assert (asked.status, bool(asked.hosted_url)) == ("open", True)
        assert self.change(begun, self.plan("large", 2999), key="again") == waiting

    def test_a_missing_or_archived_price_is_reported_as_a_plan_that_is_gone(self, caplog):
        archived = self.gateway.ensure_plan(self.plan())
        self.stripe.objects[archived]["active"] = False
        begun = self.start(plan=self.plan("large", 2999))

        for ref in ("price_gone", archived):
            for call in (
                lambda ref=ref: self.start(plan=self.plan(ref=ref), key=ref),
                lambda ref=ref: self.change(begun, self.plan(ref=ref), at_period_end=True),
                lambda ref=ref: self.page(
                    Item("sub-1", "Videos", 999, "USD", self.plan(ref=ref)), key=f"page:{ref}"
                ),
            ):
                with pytest.raises(ReferenceGone) as raised:
                    call()
                assert raised.value.kind == "plan"
        assert "price_gone" in caplog.text

    def test_a_plan_that_is_gone_is_made_anew_once(self):
        gone = self.gateway.ensure_plan(self.plan())
        self.stripe.objects[gone]["active"] = False

        anew = {self.gateway.ensure_plan(self.plan(ref=gone, gone=gone)) for _ in range(3)}

        assert len(anew) == 1
        assert anew != {gone}
        assert self.gateway.ensure_plan(self.plan()) in anew

    def test_a_downgrade_takes_effect_with_the_next_period(self):
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

    def test_a_plan_with_a_reference_sends_no_request(self):
        self.stripe.requests.clear()

        assert self.gateway.ensure_plan(self.plan(ref="price_1")) == "price_1"
        assert self.stripe.requests == []

    def test_a_plan_is_found_when_stripe_has_forgotten_the_key(self):
        ref = self.gateway.ensure_plan(self.plan())
        self.stripe.keys.clear()

        assert self.gateway.ensure_plan(self.plan()) == ref

    def test_a_trial_continues_after_a_change_of_plan(self):
        begun = self.start(plan=self.plan(trial_days=7))

        changed = self.change(begun, self.plan("large", 2999))

        assert (changed.plan_code, changed.status) == ("large", "trialing")
        assert changed.period_end == begun.period_end
        assert changed.invoices == ()

    # --- webhooks and changes ---

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

    def test_a_deleted_customer_is_reported_as_gone_and_not_as_a_missing_payment(self, caplog):
        with pytest.raises(ReferenceGone) as raised:
            self.gateway.charge(
                amount=1999, currency="USD", payment_method="pm_card_visa", reference="order-1",
                customer="cus_gone", key="order:1:0",
            )  # fmt: skip

        assert raised.value.kind == "customer"
        assert "cus_gone" in caplog.text

    @pytest.mark.parametrize(
        ("key", "live"),
        [("sk_test_1", False), ("sk_live_1", True), ("rk_live_1", True), ("rk_test_1", False)],
    )
    def test_the_public_configuration_names_key_and_mode(self, settings, key, live):
        settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY = key, "pk_test_1"

        assert self.gateway.public == {"publishable_key": "pk_test_1", "livemode": live}
