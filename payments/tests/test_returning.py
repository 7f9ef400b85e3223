"""A buyer's own refund: one rule for every order of which money may be left, and true answers."""

import pytest
from django.utils import timezone

from audit.models import AuditEntry
from payments.gateways.sandbox import charging
from payments.models import Coupon, Dispute, Notice, Order, Payment, SandboxDispute
from payments.services.settling.facts import sync_payment
from payments.services.sharing import watchtime
from payments.tests.kit import (
    VISA,
    assert_books_are_right,
    balances,
    code,
    nothing_changes,
)

pytestmark = pytest.mark.django_db

PAYMENTS = "/api/v1/payments"
MINUTE = 60  # the length of the video, in seconds


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999, rental_price=399, rental_hours=48)


@pytest.fixture
def me(client_for, viewer):
    return client_for(viewer)


@pytest.fixture
def office(client_for, admin):
    return client_for(admin)


@pytest.fixture
def buy(me, video):
    def purchase(**body) -> Order:
        body = {"payment_method": VISA, **body}
        answer = me.post(f"{PAYMENTS}/purchase/{video.pk}", body)
        assert answer.data["order"]["status"] == "paid", answer.data
        return Order.objects.get(pk=answer.data["order"]["id"])

    return purchase


@pytest.fixture
def bank(office):
    def act(order: Order, step: str, **body) -> None:
        answer = office.post(f"{PAYMENTS}/sandbox/payments/{order.pk}/{step}", body)
        assert answer.status_code == 200, answer.data

    return act


@pytest.fixture
def give_back(me):
    return lambda order: me.post(f"{PAYMENTS}/orders/{order.pk}/refund")


@pytest.fixture
def lost_in_part(buy, bank):
    """Return an order of 19.99 of which the buyer's bank has kept 1.00."""

    def make() -> Order:
        order = buy()
        bank(order, "dispute", amount="1.00")
        bank(order, "reinstate", amount="0.00")
        return order

    return make


@pytest.fixture
def superseded(buy, bank):
    """Return a function that returns an order whose dispute was won after the video was bought again."""

    def make() -> Order:
        first = buy()
        bank(first, "dispute")
        bank(first, "reinstate", amount="0.00")
        buy()
        bank(first, "reinstate")
        assert status(first) == "superseded"
        return first

    return make


def status(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


def watch(viewer, video, seconds: int) -> None:
    watchtime.record(
        user_id=viewer.pk,
        video=video,
        day=timezone.now().date(),
        seconds=seconds,
        plan_seconds=0,
    )


def mails_of_refunds() -> list[str]:
    return list(Notice.objects.filter(subject__contains="refund").values_list("body", flat=True))


@pytest.mark.parametrize("kind", ["paid", "lost in part", "superseded"])
def test_a_watched_video_is_not_returned_whatever_became_of_its_order(
    buy, lost_in_part, superseded, give_back, viewer, video, kind
):
    order = {"paid": buy, "lost in part": lost_in_part, "superseded": superseded}[kind]()
    watch(viewer, video, MINUTE)
    with nothing_changes():
        answer = give_back(order)
    assert (answer.status_code, code(answer)) == (409, "watched_too_much")


@pytest.mark.parametrize("kind", ["lost in part", "superseded"])
def test_the_limits_hold_whatever_became_of_the_order(
    lost_in_part, superseded, give_back, settings, kind
):
    settings.REFUNDS_PER_VIDEO = 0
    order = {"lost in part": lost_in_part, "superseded": superseded}[kind]()
    with nothing_changes():
        answer = give_back(order)
    assert (answer.status_code, code(answer)) == (409, "refund_limit_reached")


def test_what_a_bank_left_of_an_unwatched_video_goes_back_and_is_told(lost_in_part, give_back):
    order = lost_in_part()
    answer = give_back(order)

    assert (answer.status_code, answer.data["status"]) == (200, "dispute_lost")
    assert balances() == {}
    (mail,) = mails_of_refunds()
    assert "The rest of the money" in mail
    assert AuditEntry.objects.filter(action="order.refunded").count() == 1
    with nothing_changes():
        assert code(give_back(order)) == "not_refundable"
    assert_books_are_right()


@pytest.mark.parametrize("by_admin", [False, True])
def test_a_superseded_order_is_refunded_when_its_money_is_back(
    superseded, give_back, office, by_admin
):
    first = superseded()
    url = f"{PAYMENTS}/admin/orders/{first.pk}/refund"
    answer = office.post(url, {}) if by_admin else give_back(first)

    assert (answer.status_code, answer.data["status"]) == (200, "refunded")
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    (mail,) = mails_of_refunds()
    assert str(first.pk) in mail
    assert office.get(f"{PAYMENTS}/admin/review").data["superseded"] == []
    assert_books_are_right()


def test_a_refund_of_a_superseded_order_that_fails_makes_it_superseded_again(
    superseded, give_back, bank
):
    first = superseded()
    give_back(first)
    bank(first, "refund-fail")
    assert status(first) == "superseded"
    assert_books_are_right()


def test_the_rest_of_a_dispute_that_was_won_in_part_is_a_refund_in_full(buy, give_back):
    """As after a change of currencies, where the bank returns less than it took."""
    order = buy()
    payment = order.payments.get()
    disputed = charging.open_dispute(payment.external_id)
    SandboxDispute.objects.filter(pk=disputed.pk).update(status="won", reinstated=1990)
    sync_payment(gateway="sandbox", external_id=payment.external_id)
    assert (status(order), Dispute.objects.get().status) == ("paid", "won")

    answer = give_back(order)

    assert (answer.status_code, answer.data["status"]) == (200, "refunded")
    assert balances() == {}
    assert_books_are_right()


def test_an_order_without_money_says_so(me, give_back, buy, video):
    Coupon.objects.create(code="GIFT", percent_bps=10_000, funded_by="platform")
    free = buy(coupon="GIFT", kind="rent")
    opened = me.post(f"{PAYMENTS}/purchase/{video.pk}", {"force": True})
    unpaid = Order.objects.get(pk=opened.data["order"]["id"])
    for order, told in ((free, "cost nothing"), (unpaid, "is not paid")):
        with nothing_changes():
            answer = give_back(order)
        assert (answer.status_code, code(answer)) == (409, "not_refundable")
        assert told in answer.data["errors"][0]["detail"]
    assert not Payment.objects.exists()
