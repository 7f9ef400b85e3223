"""The contract of all payment gateways: one set of tests that the sandbox and Stripe must pass.

A test class inherits GatewayContract, or the contracts of the parts that its gateway offers, and has a
fixture ``bench`` that returns a Bench.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

import pytest
import time_machine
from django.utils import timezone

from payments.gateways.base import (
    AmountRefused,
    Change,
    CheckoutSnapshot,
    Declined,
    Gateway,
    Item,
    MethodUnknown,
    NotThere,
    PaymentSnapshot,
    PlanTerms,
    RefundRefused,
    RefundSnapshot,
    SubscriptionSnapshot,
    WebhookRefused,
)

RETURN_URL = "https://videos.example.com/back"


def period(subscription: SubscriptionSnapshot) -> tuple[datetime, datetime]:
    """Return the start and the end of a subscription's current period; fail if it has none."""
    assert subscription.period_start
    assert subscription.period_end
    return subscription.period_start, subscription.period_end


class Bench(Protocol):
    """The gateway under test, its test cards, and the actions of the buyer, the bank and the gateway."""

    @property
    def gateway(self) -> Gateway:
        """The gateway under test."""

    @property
    def currency(self) -> str:
        """The currency to charge in."""

    @property
    def methods(self) -> Mapping[str, str]:
        """The gateway's names of the test cards.

        The cards are ``good``, ``declined``, ``needs_action`` (the bank asks for authentication),
        ``pending_refund`` (its refunds stay pending), and ``fails_later`` (it can be attached, but an
        upgrade with it is declined).
        """

    def complete_checkout(self, checkout_id: str, /) -> None:
        """Pay on the checkout as the buyer."""

    def open_dispute(self, payment_id: str, amount: int, /) -> str:
        """Open a dispute as the buyer's bank, and return its id."""

    def reinstate(self, dispute_id: str, amount: int, /) -> None:
        """Close a dispute as the buyer's bank, and return this amount."""

    def fail_refund(self, refund_id: str, /) -> None:
        """Make a refund fail after it had succeeded."""

    def signed(self, kind: str, object_id: str, /) -> tuple[bytes, Mapping[str, str]]:
        """Return the body and headers of a webhook message about an object, as the gateway sends it."""


class Stage:
    """The gateway under test, with the calls that the tests make and their defaults."""

    @pytest.fixture(autouse=True)
    def _stage(self, bench: Bench) -> None:
        self.bench, self.gateway = bench, bench.gateway
        self.began = timezone.now() - timedelta(seconds=2)
        self._numbers = count(1)

    def charge(
        self, card: str = "good", *, amount=1999, key="order:1:0", reference="order-1"
    ) -> PaymentSnapshot:  # fmt: skip
        return self.gateway.charge(
            amount=amount,
            currency=self.bench.currency,
            payment_method=self.bench.methods.get(card, card),
            reference=reference,
            customer="",
            key=key,
            return_url=RETURN_URL,
        )

    def refund(
        self, payment: PaymentSnapshot, amount: int, key: str = "refund:1"
    ) -> RefundSnapshot:
        return self.gateway.refund(external_id=payment.external_id, amount=amount, key=key)

    def page(self, item: Item | None = None, *, key: str = "checkout:1") -> CheckoutSnapshot:
        item = item or Item("order-1", "A video", 1999, self.bench.currency)
        return self.gateway.create_checkout(
            item,
            customer="",
            key=key,
            return_url=RETURN_URL,
            expires_at=timezone.now() + timedelta(hours=2),
        )

    def plan(self, code: str = "basic", amount: int = 999, **terms) -> PlanTerms:
        return PlanTerms(
            code=code,
            name=code.title(),
            amount=amount,
            currency=self.bench.currency,
            interval="month",
            **terms,
        )

    def start(
        self, card="good", *, plan=None, key="sub:1", reference="sub-1"
    ) -> SubscriptionSnapshot:
        return self.gateway.start_subscription(
            plan or self.plan(),
            reference=reference,
            customer=self.customer(),
            payment_method=self.bench.methods.get(card, card),
            key=key,
        )

    def customer(self) -> str:
        return self.gateway.create_customer(
            user_id="user-1", email="buyer@example.com", key="customer:1"
        )

    def change(
        self, begun: SubscriptionSnapshot, plan: PlanTerms, *, at_period_end=False, value=0, key=""
    ) -> SubscriptionSnapshot:
        return self.gateway.change_plan(
            begun.external_id,
            plan,
            key=key or f"change:{next(self._numbers)}",
            at_period_end=at_period_end,
            period_value=value,
        )

    def changes(self, kind: str) -> list[str]:
        """Return the ids of all objects of a kind that changed in this test, each once."""
        ids = [change.external_id for change in self.gateway.list_changes(self.began)
               if change.kind == kind]  # fmt: skip
        assert len(ids) == len(set(ids))
        return ids


class PaymentContract(Stage):
    """The tests of payments, refunds and checkouts: for every gateway.

    A gateway that charges no card overrides `charge`, and pays on a checkout there.
    """

    def test_a_charge_captures_the_amount_at_once(self):
        charged = self.charge()

        fetched = self.gateway.fetch_payment(charged.external_id)
        for snapshot in (charged, fetched):
            assert snapshot.status == "captured"
            assert (snapshot.amount, snapshot.captured) == (1999, 1999)
            assert snapshot.currency == self.bench.currency
            assert snapshot.order_id == "order-1"
        assert fetched.refunds == fetched.disputes == ()
        assert fetched.invoice_id == fetched.subscription_id == ""

    def test_the_same_key_charges_once(self):
        assert self.charge().external_id == self.charge().external_id
        assert len(self.changes("payment")) == 1

    def test_another_key_makes_another_charge(self):
        assert self.charge(key="one").external_id != self.charge(key="two").external_id
        assert len(self.changes("payment")) == 2

    def test_an_amount_of_zero_is_refused(self):
        with pytest.raises(AmountRefused):
            self.gateway.validate_amount(0, self.bench.currency)
        self.gateway.validate_amount(1999, self.bench.currency)

    def test_partial_refunds_can_add_up_to_the_whole_payment(self):
        payment = self.charge()

        first = self.refund(payment, 500, "refund:1")
        second = self.refund(payment, 1499, "refund:2")

        assert (first.amount, first.status, first.key) == (500, "succeeded", "refund:1")
        listed = self.gateway.fetch_payment(payment.external_id).refunds
        assert sorted(listed, key=lambda row: row.amount) == [first, second]

    def test_a_refund_of_more_than_is_left_is_refused(self):
        payment = self.charge()
        self.refund(payment, 1500, "refund:1")

        with pytest.raises(RefundRefused):
            self.refund(payment, 500, "refund:2")

        assert [row.amount for row in self.gateway.fetch_payment(payment.external_id).refunds] == [
            1500
        ]

    def test_the_same_key_refunds_once(self):
        payment = self.charge()

        assert self.refund(payment, 500) == self.refund(payment, 500)
        assert len(self.gateway.fetch_payment(payment.external_id).refunds) == 1

    def test_a_refund_can_fail_later_and_be_repeated(self):
        payment = self.charge()
        refund = self.refund(payment, 1999, "refund:1")

        self.bench.fail_refund(refund.external_id)

        (failed,) = self.gateway.fetch_payment(payment.external_id).refunds
        assert (failed.external_id, failed.status) == (refund.external_id, "failed")
        assert self.refund(payment, 1999, "refund:2").status == "succeeded"

    def test_the_same_key_makes_one_checkout(self):
        page = self.page()

        assert page.url
        assert (page.status, page.payment_id, page.subscription_id) == ("open", "", "")
        assert self.page().external_id == page.external_id
        assert self.changes("checkout") == [page.external_id]

    def test_a_paid_checkout_leads_to_its_payment(self):
        page = self.page()

        self.bench.complete_checkout(page.external_id)

        paid = self.gateway.fetch_checkout(page.external_id)
        assert paid.status == "complete"
        payment = self.gateway.fetch_payment(paid.payment_id)
        assert (payment.captured, payment.order_id) == (1999, "order-1")

    def test_an_expired_checkout_stays_expired(self):
        page = self.page()

        for _ in range(2):
            assert self.gateway.expire_checkout(page.external_id).status == "expired"
        assert self.gateway.fetch_checkout(page.external_id).status == "expired"

    def test_a_paid_checkout_does_not_expire(self):
        page = self.page()
        self.bench.complete_checkout(page.external_id)

        left = self.gateway.expire_checkout(page.external_id)

        assert left.status == "complete"
        assert self.gateway.fetch_payment(left.payment_id).captured == 1999

    def test_unknown_ids_raise_not_there(self):
        for call in (
            self.gateway.fetch_payment,
            self.gateway.fetch_checkout,
            self.gateway.expire_checkout,
            self.gateway.fetch_subscription,
            self.gateway.resume_subscription,
        ):
            with pytest.raises(NotThere):
                call("nobody_knows_this")
        with pytest.raises(NotThere):
            self.gateway.refund(external_id="nobody_knows_this", amount=1, key="refund:1")
        with pytest.raises(NotThere):
            self.gateway.cancel_subscription("nobody_knows_this", at_period_end=True)

    def test_older_changes_are_not_listed(self):
        self.charge()

        assert list(self.gateway.list_changes(timezone.now() + timedelta(minutes=1))) == []


class CardContract(Stage):
    """The tests of cards that are declined, unknown, or need authentication."""

    def test_a_declined_charge_names_its_reason_also_when_repeated(self):
        for _ in range(2):
            with pytest.raises(Declined) as declined:
                self.charge("declined")
            assert declined.value.decline_code == "generic_decline"

        captured = [
            name for name in self.changes("payment") if self.gateway.fetch_payment(name).captured
        ]
        assert captured == []

    def test_after_a_decline_another_card_pays(self):
        with pytest.raises(Declined):
            self.charge("declined", key="order:1:0")

        assert self.charge("good", key="order:1:1").status == "captured"

    def test_an_unknown_card_is_refused_and_leaves_no_payment(self):
        with pytest.raises(MethodUnknown):
            self.charge("pm_nobody_has")

        assert self.changes("payment") == []

    def test_after_an_unknown_card_the_same_key_charges_another_card(self):
        with pytest.raises(MethodUnknown):
            self.charge("pm_nobody_has")

        assert self.charge("good").status == "captured"

    def test_a_charge_that_needs_authentication_captures_nothing_yet(self):
        charged = self.charge("needs_action")

        assert (charged.status, charged.captured) == ("requires_action", 0)
        assert charged.action_url
        fetched = self.gateway.fetch_payment(charged.external_id)
        assert (fetched.status, fetched.captured) == ("requires_action", 0)
        assert fetched.action_url

    def test_a_payment_that_waits_for_the_bank_can_be_canceled_and_no_other(self):
        waiting, paid = self.charge("needs_action"), self.charge("good", key="2")

        for _ in range(2):
            assert self.gateway.cancel_payment(waiting.external_id).status == "canceled"
        assert self.gateway.cancel_payment(paid.external_id).status == "captured"
        with pytest.raises(NotThere):
            self.gateway.cancel_payment("pi_unknown")

    def test_a_pending_refund_counts_as_refunded(self):
        payment = self.charge("pending_refund")

        assert self.refund(payment, 500).status == "pending"
        with pytest.raises(RefundRefused):  # a pending refund counts against the captured amount
            self.refund(payment, 1999, "refund:2")

    def test_a_payment_that_was_not_captured_cannot_be_refunded(self):
        with pytest.raises(RefundRefused):
            self.refund(self.charge("needs_action"), 500)


class DisputeContract(Stage):
    """The tests of disputes."""

    def test_a_dispute_withdraws_money_and_can_reinstate_a_part(self):
        payment = self.charge()

        dispute = self.bench.open_dispute(payment.external_id, 1200)
        (opened,) = self.gateway.fetch_payment(payment.external_id).disputes
        self.bench.reinstate(dispute, 700)
        (closed,) = self.gateway.fetch_payment(payment.external_id).disputes

        assert opened.external_id == closed.external_id == dispute
        assert (opened.amount, opened.withdrawn, opened.reinstated) == (1200, 1200, 0)
        assert opened.status == "needs_response"
        assert opened.evidence_due
        assert opened.evidence_due > timezone.now()
        assert (closed.withdrawn, closed.reinstated, closed.status) == (1200, 700, "lost")

    @pytest.mark.parametrize(("back", "status"), [(1999, "won"), (0, "lost")])
    def test_a_dispute_is_won_or_lost(self, back, status):
        payment = self.charge()

        self.bench.reinstate(self.bench.open_dispute(payment.external_id, 1999), back)

        (closed,) = self.gateway.fetch_payment(payment.external_id).disputes
        assert (closed.withdrawn, closed.reinstated, closed.status) == (1999, back, status)


class SubscriptionContract(Stage):
    """The tests of subscriptions, for a gateway that bills plans."""

    def test_a_paid_checkout_of_a_plan_starts_a_subscription(self):
        plan = self.plan()
        page = self.page(Item("sub-1", "Videos", plan.amount, plan.currency, plan))

        self.bench.complete_checkout(page.external_id)

        paid = self.gateway.fetch_checkout(page.external_id)
        assert paid.status == "complete"
        begun = self.gateway.fetch_subscription(paid.subscription_id)
        assert (begun.reference, begun.plan_code, begun.status) == ("sub-1", "basic", "active")

    def test_the_same_plan_gets_the_same_reference(self):
        assert self.gateway.ensure_plan(self.plan()) == self.gateway.ensure_plan(self.plan())
        assert self.gateway.ensure_plan(self.plan("other")) != self.gateway.ensure_plan(self.plan())

    def test_a_subscription_charges_its_first_period(self):
        begun = self.start()

        assert (begun.reference, begun.plan_code, begun.status) == ("sub-1", "basic", "active")
        start, end = period(begun)
        assert start <= timezone.now() < end
        assert not begun.cancel_at_period_end
        assert begun.next_plan_code == ""
        assert begun.ended_at is None
        (invoice,) = begun.invoices
        assert (invoice.amount, invoice.currency) == (999, self.bench.currency)
        assert (invoice.status, len(invoice.payment_ids)) == ("paid", 1)
        assert (invoice.period_start, invoice.period_end) == (start, end)
        assert self.gateway.fetch_subscription(begun.external_id) == begun
        payment = self.gateway.fetch_payment(invoice.payment_ids[0])
        assert (payment.captured, payment.order_id) == (999, "")
        assert payment.invoice_id == invoice.external_id
        assert payment.subscription_id == begun.external_id

    def test_the_same_key_starts_one_subscription(self):
        assert self.start().external_id == self.start().external_id
        assert len(self.changes("subscription")) == 1

    def test_a_declined_card_starts_no_subscription(self):
        with pytest.raises(Declined) as declined:
            self.start("declined")

        assert declined.value.decline_code == "generic_decline"
        assert self.changes("subscription") == []

    @pytest.mark.parametrize("card", ["pm_nobody_has", ""])
    def test_an_unknown_or_missing_card_starts_no_subscription(self, card):
        with pytest.raises(MethodUnknown):
            self.start(card)

        assert self.changes("subscription") == []

    def test_after_an_unknown_card_the_same_key_starts_with_another_card(self):
        with pytest.raises(MethodUnknown):
            self.start("pm_nobody_has")

        assert self.start("good").status == "active"

    @pytest.mark.parametrize("card", ["good", ""])
    def test_a_trial_makes_no_invoice(self, card):
        begun = self.start(card, plan=self.plan(trial_days=7))

        assert begun.status == "trialing"
        start, end = period(begun)
        assert end - start == timedelta(days=7)
        assert begun.invoices == ()

    def test_a_card_that_needs_authentication_leaves_the_subscription_incomplete(self):
        begun = self.start("needs_action")

        assert begun.status == "incomplete"
        (invoice,) = begun.invoices
        assert (invoice.status, invoice.amount) == ("open", 999)
        payment = self.gateway.fetch_payment(invoice.payment_ids[0])
        assert (payment.status, payment.captured) == ("requires_action", 0)
        assert payment.action_url
        assert self.start("needs_action").external_id == begun.external_id

    def test_a_cancellation_at_period_end_can_be_resumed_and_repeated(self):
        name = self.start().external_id

        for _ in range(2):
            canceled = self.gateway.cancel_subscription(name, at_period_end=True)
            assert (canceled.status, canceled.cancel_at_period_end) == ("active", True)
            resumed = self.gateway.resume_subscription(name)
            assert (resumed.status, resumed.cancel_at_period_end) == ("active", False)

    def test_a_cancellation_at_once_is_final(self):
        name = self.start().external_id

        for _ in range(2):
            ended = self.gateway.cancel_subscription(name, at_period_end=False)
            assert ended.status == "canceled"
            assert ended.ended_at is not None
        assert self.gateway.resume_subscription(name).status == "canceled"

    def test_canceling_an_unpaid_subscription_voids_its_invoice(self):
        name = self.start("needs_action").external_id

        ended = self.gateway.cancel_subscription(name, at_period_end=True)

        assert ended.status == "canceled"
        assert [invoice.status for invoice in ended.invoices] == ["void"]

    @pytest.mark.parametrize(("value", "due"), [(999, 2000), (0, 2999), (499, 2500), (2998, 0)])
    def test_an_upgrade_starts_a_new_period_and_credits_the_unused_value(self, value, due):
        """The smallest amounts are below Stripe's minimum, and 0.01 is none of the sandbox's."""
        begun = self.start()

        changed = self.change(begun, self.plan("large", 2999), value=value)

        assert (changed.plan_code, changed.status) == ("large", "active")
        assert changed.external_id == begun.external_id
        assert period(changed)[0] > period(begun)[0]
        first, second = changed.invoices
        assert first == begun.invoices[0]
        assert second.status == "paid"
        assert second.amount == (due or self.gateway_least())
        assert len(second.payment_ids) == bool(second.amount)
        assert (second.period_start, second.period_end) == period(changed)

    def gateway_least(self) -> int:
        """Return what an upgrade for 0.01 costs: 0.01, or 0 where the gateway cannot charge that."""
        try:
            self.gateway.validate_amount(1, self.bench.currency)
        except AmountRefused:
            return 0
        return 1

    def test_an_upgrade_that_the_old_period_pays_costs_nothing(self):
        begun = self.start()

        changed = self.change(begun, self.plan("large", 2999), value=4000)

        assert [(row.amount, row.status) for row in changed.invoices] == [
            (999, "paid"), (0, "paid"),
        ]  # fmt: skip
        assert changed.invoices[1].payment_ids == ()

    def test_half_of_the_period_is_half_of_its_value(self):
        begun = self.start()
        start, end = period(begun)

        with time_machine.travel(start + (end - start) / 2):
            changed = self.change(begun, self.plan("large", 2999), value=1000)

        assert changed.invoices[1].amount == 2499

    def test_after_a_decline_the_next_attempt_succeeds(self):
        begun = self.start()
        customer = self.customer()
        self.gateway.set_payment_method(
            begun.external_id, self.bench.methods["fails_later"], customer=customer
        )
        with pytest.raises(Declined):
            self.change(begun, self.plan("large", 2999), key="change:0")
        self.gateway.set_payment_method(
            begun.external_id, self.bench.methods["good"], customer=customer
        )

        assert self.change(begun, self.plan("large", 2999), key="change:1").plan_code == "large"

    def test_a_declined_upgrade_leaves_a_waiting_downgrade(self):
        begun = self.start(plan=self.plan("medium", 1999))
        self.gateway.set_payment_method(
            begun.external_id, self.bench.methods["fails_later"], customer=self.customer()
        )
        before = self.change(begun, self.plan(), at_period_end=True)

        with pytest.raises(Declined):
            self.change(begun, self.plan("large", 2999))

        assert before.next_plan_code == "basic"
        assert self.gateway.fetch_subscription(begun.external_id) == before

    def test_an_upgrade_that_is_requested_twice_is_billed_once(self):
        begun = self.start()

        self.change(begun, self.plan("large", 2999))

        assert len(self.change(begun, self.plan("large", 2999)).invoices) == 2

    def test_a_declined_upgrade_changes_nothing(self):
        begun = self.start()
        before = self.gateway.set_payment_method(
            begun.external_id, self.bench.methods["fails_later"], customer=self.customer()
        )

        with pytest.raises(Declined):
            self.change(begun, self.plan("large", 2999))

        assert self.gateway.fetch_subscription(begun.external_id) == before

    def test_a_downgrade_waits_for_the_period_end_and_can_be_withdrawn(self):
        begun = self.start(plan=self.plan("large", 2999))

        for _ in range(2):
            waiting = self.change(begun, self.plan(), at_period_end=True)
            assert (waiting.plan_code, waiting.next_plan_code) == ("large", "basic")
            assert waiting.period_end == begun.period_end
            assert waiting.invoices == begun.invoices
        back = self.change(begun, self.plan("large", 2999), at_period_end=True)

        assert (back.plan_code, back.next_plan_code) == ("large", "")

    def test_a_subscription_with_a_waiting_downgrade_can_be_canceled(self):
        begun = self.start(plan=self.plan("large", 2999))
        self.change(begun, self.plan(), at_period_end=True)

        canceled = self.gateway.cancel_subscription(begun.external_id, at_period_end=True)

        assert canceled.cancel_at_period_end

    def test_a_subscription_takes_a_new_card_and_refuses_a_bad_one(self):
        begun = self.start()

        def use(card):
            return self.gateway.set_payment_method(
                begun.external_id, self.bench.methods.get(card, card), customer=self.customer()
            )

        assert use("good") == begun
        with pytest.raises(Declined):
            use("declined")
        with pytest.raises(MethodUnknown):
            use("pm_nobody_has")
        assert self.gateway.fetch_subscription(begun.external_id) == begun

    def test_changes_are_listed_once_each(self):
        payment, page, begun = self.charge(), self.page(), self.start()
        self.refund(payment, 500)

        changes = list(self.gateway.list_changes(self.began))

        assert len(changes) == len(set(changes))
        assert {
            Change("payment", payment.external_id),
            Change("checkout", page.external_id),
            Change("subscription", begun.external_id),
        } <= set(changes)


class WebhookContract(Stage):
    """The tests of signed webhook messages."""

    @pytest.mark.parametrize("kind", ["payment", "checkout", "subscription"])
    def test_a_webhook_message_names_its_object(self, kind):
        makers: dict[
            str, Callable[[], PaymentSnapshot | CheckoutSnapshot | SubscriptionSnapshot]
        ] = {"payment": self.charge, "checkout": self.page, "subscription": self.start}
        about = makers[kind]()

        event = self.gateway.verify_webhook(*self.bench.signed(kind, about.external_id))

        assert event.id
        assert event.type
        assert (event.kind, event.external_id) == (kind, about.external_id)
        assert event.livemode is False

    def test_a_message_without_the_right_signature_is_refused(self):
        body, headers = self.bench.signed("payment", self.charge().external_id)
        ((header, signature),) = headers.items()

        for wrong_body, wrong_headers in [
            (body + b" ", headers),
            (body, {}),
            (body, {header: ""}),
            (body, {header: "garbage"}),
            (body, {header: signature[:-1] + ("0" if signature[-1] != "0" else "1")}),
            (body, {header: signature.replace("v1=", "v0=")}),
            (body, {header: signature.replace("t=", "t=1")}),
            (b"", headers),
        ]:
            with pytest.raises(WebhookRefused):
                self.gateway.verify_webhook(wrong_body, wrong_headers)
        assert self.gateway.webhook_is_configured()

    @pytest.mark.parametrize("minutes", [-10, 10])
    def test_old_and_future_messages_are_refused(self, minutes):
        message = self.bench.signed("payment", self.charge().external_id)

        with (
            time_machine.travel(timezone.now() + timedelta(minutes=minutes)),
            pytest.raises(WebhookRefused),
        ):
            self.gateway.verify_webhook(*message)


class GatewayContract(
    PaymentContract, CardContract, DisputeContract, SubscriptionContract, WebhookContract
):
    """All tests: for a gateway that offers everything."""
