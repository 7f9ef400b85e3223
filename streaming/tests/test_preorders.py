"""Pre-orders: sold before the date, held until then, and given back when the date is not kept."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEntry
from config.money import to_text
from payments.errors import GatewayUnavailable
from payments.models import Coupon, Notice, Order, Payment, Refund, Transfer
from payments.services.buying import checkout, orders, preorders
from payments.services.settling import refunds
from payments.tests.kit import (
    VISA,
    assert_books_are_right,
    balances,
    code,
    nothing_changes,
    together,
)
from streaming import sessions
from videos.availability.errors import NotYetAvailable
from videos.services import catalogue

pytestmark = pytest.mark.django_db

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SOLD = {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


@pytest.fixture
def date():
    return timezone.now().replace(microsecond=0) + 10 * DAY


@pytest.fixture
def video(make_video, creator, date):
    return make_video(creator=creator, price=1999, publish_at=date, is_preorder=True)


def move(video, **fields) -> None:
    catalogue.change_video(video=video, actor=None, **fields)


def status(order) -> str:
    order.refresh_from_db()
    return order.status


def test_a_preorder_is_paid_now_and_watched_from_the_date(client_for, viewer, video, date):
    client = client_for(viewer)
    offers = client.get(f"/api/v1/payments/offers/{video.pk}").data["offers"]
    assert [offer["kind"] for offer in offers] == ["buy"]
    answer = client.post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
    assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
    shown = date.isoformat().replace("+00:00", "Z")
    assert answer.data["order"]["available_from"] == shown
    mail = Notice.objects.get(user=viewer)
    assert f"can watch it from {date:%-d %B %Y, %H:%M} UTC on" in mail.body

    with pytest.raises(NotYetAvailable):
        sessions.stream_token(user=viewer, video_id=video.pk)
    asked = client.get(f"/api/v1/payments/entitlements/{video.pk}").data
    assert (asked["allowed"], asked["access"]) == (False, "order")
    with time_machine.travel(date, tick=False):
        assert sessions.stream_token(user=viewer, video_id=video.pk)
        assert preorders.settle() == 0
        order = Order.objects.get()
        assert (order.status, order.fulfilled_at) == ("paid", date)
    assert_books_are_right()


@pytest.mark.parametrize("is_free", [False, True])
def test_the_creator_is_paid_from_the_date_on(
    client_for, viewer, creator, video, date, settings, is_free
):
    """The hold of the earning begins with the date, of a sale and of one that the platform pays for."""
    body = {"payment_method": VISA}
    if is_free:
        Coupon.objects.create(code="GIFT", percent_bps=10_000, funded_by="platform")
        body = {"coupon": "GIFT"}
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}", body)
    assert Order.objects.get().status == "paid"
    held = set(Transfer.objects.values_list("available_on", flat=True))
    assert held == {date + timedelta(days=settings.PAYOUT_HOLD_DAYS)}

    def available() -> str:
        return (
            client_for(creator)
            .get("/api/v1/payments/creator/balance")
            .json()["balances"][0]["available"]
        )

    nearly = date + timedelta(days=settings.PAYOUT_HOLD_DAYS) - HOUR
    with time_machine.travel(nearly, tick=False):
        assert available() == "0.00"
    with time_machine.travel(nearly + HOUR, tick=False):
        assert available() == to_text(1600, "USD")


BROKEN = {
    "moved later": lambda video, date: move(video, publish_at=date + HOUR),
    "deleted": lambda video, date: catalogue.delete_video(video=video, actor=None),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_promise_is_refunded_once(viewer, make_user, video, date, buy, how, run_minute):
    """All money goes back by itself, once; the books, the log and the buyer know of it."""
    order = buy(viewer, video)
    assert balances() == SOLD
    BROKEN[how](video, date)
    assert status(order) == "paid"
    run_minute()
    assert status(order) == "refunded"
    assert all(amount == 0 for amount in balances().values())
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.by) == (1999, Refund.NOT_KEPT, None)
    entry = AuditEntry.objects.get(action="order.refunded")
    assert (entry.target_id, entry.actor_id) == (str(order.pk), None)
    mail = Notice.objects.get(user=viewer, subject__startswith="Your pre-order")
    assert "all your money is on its way back" in mail.body
    with nothing_changes():
        run_minute()
        with time_machine.travel(timezone.now() + 2 * HOUR):
            assert preorders.settle() == 0
    assert_books_are_right()


def test_what_keeps_the_promise_is_not_refunded(viewer, video, date, buy, run_minute):
    order = buy(viewer, video)
    for fields in (
        {"publish_at": date - DAY},
        {"publish_at": date},  # back to what was promised
        {"title": "Another title", "price": 2999},
        {"visibility": "unlisted"},
        {"publish_at": None},
    ):
        move(video, **fields)
        with nothing_changes():
            run_minute()
        assert status(order) == "paid"
    with time_machine.travel(date, tick=False):
        run_minute()
    assert status(order) == "paid"
    assert order.fulfilled_at is not None
    # After that day, it is an order like any other.
    move(video, publish_at=date + 30 * DAY)
    with nothing_changes():
        run_minute()
    with time_machine.travel(date + DAY, tick=False):
        assert sessions.stream_token(user=viewer, video_id=video.pk)


def test_a_private_video_breaks_the_promise_on_the_day(viewer, video, date, buy, run_minute):
    order = buy(viewer, video)
    move(video, visibility="private")
    run_minute()
    assert status(order) == "paid"  # it may be public again by then
    with time_machine.travel(date, tick=False):
        run_minute()
    assert (status(order), order.fulfilled_at) == ("refunded", None)


def test_a_preorder_that_cost_nothing_is_taken_back(client_for, viewer, video, date, run_minute):
    Coupon.objects.create(code="GIFT", percent_bps=10_000, funded_by="platform")
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}", {"coupon": "GIFT"})
    move(video, publish_at=date + DAY)
    run_minute()
    assert Order.objects.get().status == "refunded"
    assert all(amount == 0 for amount in balances().values())
    assert_books_are_right()


def test_an_order_after_the_new_date_was_set_promises_it(viewer, make_user, video, date, buy):
    first = buy(viewer, video)
    move(video, publish_at=date + DAY)
    second = buy(make_user(), video)
    assert preorders.settle() == 1
    assert [status(order) for order in (first, second)] == ["refunded", "paid"]
    assert second.available_from == date + DAY


def test_an_open_order_with_another_date_is_not_paid(viewer, video, date):
    order, _ = checkout.purchase(
        buyer=viewer, video_id=video.pk, options=checkout.PurchaseOptions()
    )
    move(video, publish_at=date + DAY)
    assert status(order) == "expired"
    again, _ = checkout.purchase(
        buyer=viewer, video_id=video.pk, options=checkout.PurchaseOptions()
    )
    assert (again.pk != order.pk, again.available_from) == (True, date + DAY)


def test_a_gateway_that_refuses_is_asked_again_each_hour(
    viewer, video, date, buy, monkeypatch, caplog
):
    order = buy(viewer, video)
    move(video, publish_at=date + DAY)
    asked = []

    def refuse(**call):
        asked.append(call["key"])
        raise GatewayUnavailable()

    with monkeypatch.context() as patch:
        patch.setattr(orders, "give_back", refuse)
        with time_machine.travel(timezone.now(), tick=False) as clock:
            assert [preorders.settle() for _ in range(3)] == [1, 0, 0]
            clock.shift(preorders.REPEAT_AFTER)
            assert preorders.settle() == 1
            clock.shift(preorders.REPEAT_AFTER)
    assert asked == [f"preorder:{order.pk}"] * 2
    assert "is given back later" in caplog.text
    with time_machine.travel(timezone.now() + 3 * preorders.REPEAT_AFTER):
        assert preorders.settle() == 1
    assert status(order) == "refunded"


def test_the_days_to_return_it_count_from_the_date(client_for, viewer, video, date, buy, settings):
    order = buy(viewer, video)
    url = f"/api/v1/payments/orders/{order.pk}/refund"
    window = timedelta(days=settings.REFUND_WINDOW_DAYS)
    with time_machine.travel(date + window + HOUR, tick=False):
        assert code(client_for(viewer).post(url)) == "refund_window_closed"
    with time_machine.travel(date + window - HOUR, tick=False):
        assert client_for(viewer).post(url).status_code == 200
    assert status(order) == "refunded"
    assert "given back" not in Notice.objects.filter(subject__contains="refund").get().subject


def test_an_order_that_was_refunded_in_part_gives_the_rest(viewer, video, date, buy, admin):
    order = buy(viewer, video)
    refunds.refund_order(order_id=order.pk, amount=500, reason="", actor=admin)
    move(video, publish_at=date + DAY)
    assert preorders.settle() == 1
    assert sorted(Refund.objects.values_list("amount", flat=True)) == [500, 1499]
    assert status(order) == "refunded"
    assert_books_are_right()


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_give_it_back_once(make_user, video, date, buy):
    bought = [buy(make_user(), video) for _ in range(4)]
    move(video, publish_at=date + DAY)
    assert sum(together([preorders.settle] * 6)) == len(bought)
    assert Refund.objects.count() == len(bought)
    assert Payment.objects.filter(disposition="applied").count() == len(bought)
    assert {status(order) for order in bought} == {"refunded"}
    assert_books_are_right()
