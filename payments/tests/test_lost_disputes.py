"""A dispute that is lost closes the order or the subscription: the person can pay again and watch."""

import pytest
import time_machine
from django.db.models import F
from django.utils import timezone

from audit.models import AuditEntry
from payments.gateways.sandbox import charging
from payments.gateways.stripe import mapping
from payments.models import (
    Dispute,
    Entitlement,
    Order,
    Payment,
    SandboxDispute,
    SandboxPayment,
    Subscription,
)
from payments.services.gateway_news import followups, reconciliation
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA, assert_books_are_right, balances, code, nothing_changes

pytestmark = [pytest.mark.django_db, pytest.mark.months]

PAYMENTS = "/api/v1/payments"
SOLD = {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999, rental_price=399, rental_hours=48)


@pytest.fixture
def bank(client_for, admin):
    """Return a function that acts as the buyer's bank, over HTTP, and delivers the webhook events."""
    client = client_for(admin)

    def act(pk, step: str, **body) -> None:
        answer = client.post(f"{PAYMENTS}/sandbox/payments/{pk}/{step}", body)
        assert answer.status_code == 200, answer.data

    return act


@pytest.fixture
def shop(client_for, viewer, video):
    """Return a function that lets the viewer buy (or rent) the video over HTTP."""
    client = client_for(viewer)

    def purchase(kind: str = "buy"):
        body = {"payment_method": VISA, "kind": kind}
        return client.post(f"{PAYMENTS}/purchase/{video.pk}", body)

    return purchase


def paid_order(answer) -> Order:
    assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid"), answer.data
    return Order.objects.get(pk=answer.data["order"]["id"])


def may_watch(order: Order) -> bool:
    live = Entitlement.objects.live().filter(user=order.buyer_id, video=order.video_id)
    return live.filter(source_id=order.pk).exists()


def status(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


@pytest.mark.promise("dispute-takes-money-and-access")
@pytest.mark.parametrize("kind", ["buy", "rent"])
@pytest.mark.parametrize("returned", ["0.00", "1.00"])
def test_a_lost_dispute_lets_the_buyer_buy_again(shop, bank, kind, returned):
    first = paid_order(shop(kind))
    bank(first.pk, "dispute")
    if kind == "buy":
        with nothing_changes():
            refused = shop(kind)
        assert (refused.status_code, code(refused)) == (409, "already_owned")
        assert "Your bank is deciding" in refused.data["errors"][0]["detail"]

    bank(first.pk, "reinstate", amount=returned)

    assert (status(first), may_watch(first)) == ("dispute_lost", False)
    assert AuditEntry.objects.filter(action="dispute.closed").count() == 1
    again = paid_order(shop(kind))
    assert may_watch(again)
    assert (status(first), status(again)) == ("dispute_lost", "paid")
    assert_books_are_right()


def test_a_dispute_that_is_won_later_restores_the_order(shop, bank):
    order = paid_order(shop())
    bank(order.pk, "dispute")
    bank(order.pk, "reinstate", amount="0.00")
    bank(order.pk, "reinstate")

    assert (status(order), may_watch(order), balances()) == ("paid", True, SOLD)
    with nothing_changes():
        assert code(shop()) == "already_owned"
    assert_books_are_right()


def test_a_dispute_that_is_won_after_buying_again_supersedes_the_first_order(
    shop, bank, client_for, admin
):
    first = paid_order(shop())
    bank(first.pk, "dispute")
    bank(first.pk, "reinstate", amount="0.00")
    second = paid_order(shop())
    bank(first.pk, "reinstate")

    assert (status(first), status(second)) == ("superseded", "paid")
    assert (may_watch(first), may_watch(second)) == (False, True)
    review = client_for(admin).get(f"{PAYMENTS}/admin/review").data
    assert [row["order_id"] for row in review["superseded"]] == [str(first.pk)]
    assert_books_are_right()


def test_an_open_order_gives_way_to_a_dispute_that_is_won_later(client_for, shop, bank, viewer):
    first = paid_order(shop())
    bank(first.pk, "dispute")
    bank(first.pk, "reinstate", amount="0.00")
    answer = client_for(viewer).post(f"{PAYMENTS}/purchase/{first.video_id}", {})
    open_order = Order.objects.get(pk=answer.data["order"]["id"])
    bank(first.pk, "reinstate")

    assert (status(first), status(open_order), may_watch(first)) == ("paid", "superseded", True)
    assert_books_are_right()


def test_a_dispute_that_is_lost_after_a_refund_leaves_the_order_refunded(
    shop, bank, client_for, admin
):
    order = paid_order(shop())
    client_for(admin).post(f"{PAYMENTS}/admin/orders/{order.pk}/refund", {})
    bank(order.pk, "dispute")
    bank(order.pk, "reinstate", amount="0.00")

    assert status(order) == "refunded"
    assert balances() == {"clearing:USD": 1999, "losses:USD": -1999}
    paid_order(shop())
    assert_books_are_right()


def test_the_money_that_a_bank_left_can_be_refunded_once_it_has_decided(
    shop, bank, client_for, admin
):
    order = paid_order(shop())
    client, url = client_for(admin), f"{PAYMENTS}/admin/orders/{order.pk}/refund"
    bank(order.pk, "dispute", amount="15.00")
    with nothing_changes():
        assert code(client.post(url, {})) == "disputed"
    bank(order.pk, "reinstate", amount="0.00")
    with nothing_changes():
        assert code(client.post(url, {"amount": "5.00"})) == "refund_too_large"

    answer = client.post(url, {})

    assert (answer.status_code, answer.data["status"]) == (200, "dispute_lost")
    assert balances() == {}
    assert_books_are_right()


def test_a_won_dispute_whose_money_is_on_its_way_is_not_lost(shop, subscribe, make_user):
    """Stripe says "won" before the money moves. The order waits, and the subscription goes on."""
    order, subscription = paid_order(shop()), subscribe(make_user())
    for payment in Payment.objects.all():
        disputed = charging.open_dispute(payment.external_id)
        SandboxDispute.objects.filter(pk=disputed.pk).update(status="won")
        sync_payment(gateway="sandbox", external_id=payment.external_id)
    subscription.refresh_from_db()
    assert (status(order), subscription.status) == ("disputed", "active")
    assert not Entitlement.objects.live().exists()
    SandboxDispute.objects.update(reinstated=F("withdrawn"))

    reconciliation.reconcile(timezone.now() + reconciliation.LOOK_BACK)  # it asks for what is open

    subscription.refresh_from_db()
    assert (status(order), subscription.status) == ("paid", "active")
    assert Entitlement.objects.live().count() == 2
    assert_books_are_right()


def test_a_won_dispute_that_returned_a_part_only_keeps_the_access(shop):
    """As after a change of currencies: what is missing counts like a refund in part."""
    order = paid_order(shop())
    disputed = charging.open_dispute(order.payments.get().external_id)
    SandboxDispute.objects.filter(pk=disputed.pk).update(status="won", reinstated=1990)
    sync_payment(gateway="sandbox", external_id=order.payments.get().external_id)
    assert (status(order), may_watch(order)) == ("paid", True)
    assert_books_are_right()


def test_an_inquiry_that_is_over_changes_nothing_and_is_not_asked_about_again(shop, bank):
    order = paid_order(shop())
    bank(order.pk, "dispute", inquiry=True)
    bank(order.pk, "reinstate")

    assert (status(order), may_watch(order), balances()) == ("paid", True, SOLD)
    assert Dispute.objects.get().status not in Dispute.OPEN
    row = {"id": "du_1", "amount": 1999, "currency": "usd", "status": "warning_closed"}
    assert mapping.dispute(row, {"currency": "usd"}).status not in Dispute.OPEN


def test_a_captured_payment_of_another_amount_leaves_the_order_open_for_another_card(
    client_for, viewer, video, run_minute
):
    """Its money goes back; the order waits for a card and does not stay under way for ever."""
    card = {"payment_method": "pm_card_authenticationRequired"}
    answer = client_for(viewer).post(f"{PAYMENTS}/purchase/{video.pk}", card)
    order = Order.objects.get(pk=answer.data["order"]["id"])
    assert order.status == "processing"
    SandboxPayment.objects.update(amount=2500, captured=2500, status="captured")
    Payment.objects.update(amount=2500)
    sync_payment(gateway="sandbox", external_id=order.payments.get().external_id)
    followups.run()

    assert (status(order), Payment.objects.get().refunded()) == ("pending", 2500)
    paid_order_again = client_for(viewer).post(
        f"{PAYMENTS}/purchase/{video.pk}", {"payment_method": VISA}
    )
    assert paid_order_again.data["order"]["status"] == "paid"
    assert_books_are_right()


class TestSubscriptions:
    @pytest.fixture
    def first(self, subscribe, viewer) -> Subscription:
        return subscribe(viewer)

    def payment(self) -> Payment:
        return Payment.objects.get(invoice__isnull=False)

    def lose(self, bank, returned: str = "0.00") -> None:
        bank(self.payment().pk, "dispute")
        bank(self.payment().pk, "reinstate", amount=returned)
        followups.run()

    @pytest.mark.parametrize("returned", ["0.00", "1.00"])
    def test_a_lost_dispute_of_the_period_lets_the_person_subscribe_again(
        self, first, bank, client_for, viewer, returned
    ):
        client, body = client_for(viewer), {"plan": "monthly", "payment_method": VISA}
        bank(self.payment().pk, "dispute")
        with nothing_changes():
            assert code(client.post(f"{PAYMENTS}/subscribe", body)) == "already_subscribed"
        bank(self.payment().pk, "reinstate", amount=returned)
        followups.run()

        first.refresh_from_db()
        assert (first.status, first.closed_at_gateway) == ("canceled", True)
        assert not Entitlement.objects.live().exists()
        answer = client.post(f"{PAYMENTS}/subscribe", body)
        assert (answer.status_code, answer.data["subscription"]["status"]) == (201, "active")
        assert Entitlement.objects.live().count() == 1
        assert_books_are_right()

    def test_money_that_comes_back_after_the_end_waits_for_a_decision(
        self, first, bank, client_for, admin
    ):
        self.lose(bank)
        review = client_for(admin).get(f"{PAYMENTS}/admin/review")
        assert review.data["ended_subscriptions"] == []
        bank(self.payment().pk, "reinstate")

        first.refresh_from_db()
        assert (first.status, Entitlement.objects.live().exists()) == ("canceled", False)
        review = client_for(admin).get(f"{PAYMENTS}/admin/review")
        (row,) = review.data["ended_subscriptions"]
        assert (row["payment_id"], row["kept"]) == (str(self.payment().pk), "9.99")
        invoice = self.payment().invoice_id
        refund = client_for(admin).post(f"{PAYMENTS}/admin/invoices/{invoice}/refund", {})
        assert refund.status_code == 200
        review = client_for(admin).get(f"{PAYMENTS}/admin/review")
        assert review.data["ended_subscriptions"] == []
        assert_books_are_right()

    def test_a_subscription_that_lost_its_dispute_under_an_older_release_ends(
        self, first, bank, monkeypatch
    ):
        """The hourly reconciliation asks for its payment once more."""
        with monkeypatch.context() as older:
            older.setattr("payments.services.access.is_taken_back", lambda *args, **kwargs: False)
            self.lose(bank)
        first.refresh_from_db()
        assert first.status == "active"
        with time_machine.travel(timezone.now() + reconciliation.LOOK_BACK * 2):
            reconciliation.reconcile(timezone.now())
        first.refresh_from_db()
        assert first.status == "canceled"


def test_each_of_two_disputes_can_be_decided_over_http(shop, client_for, admin):
    order, client = paid_order(shop()), client_for(admin)
    url = f"{PAYMENTS}/sandbox/payments/{order.pk}"
    first, second = (
        client.post(f"{url}/dispute", {"amount": amount}).data["dispute"]
        for amount in ("3.00", "4.00")
    )
    unknown = client.post(f"{url}/reinstate", {"dispute": "sbd_other"})
    assert unknown.status_code == 404
    won = client.post(f"{url}/reinstate", {"dispute": first})
    assert (won.data, status(order)) == ({"dispute": first, "status": "won"}, "disputed")
    rest = client.post(f"{url}/reinstate", {})
    assert (rest.data, status(order)) == ({"dispute": second, "status": "won"}, "paid")
    lost = client.post(f"{url}/reinstate", {})  # all are decided: the latest, anew
    assert lost.data["dispute"] == second
    assert balances() == SOLD
    assert_books_are_right()
