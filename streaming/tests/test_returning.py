"""A buyer's refund looks at the bytes that were sent to them, and has limits."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
import time_machine
from django.utils import timezone

from accounts import tokens
from payments.books import verification
from payments.models import Entitlement, Order, Refund, WatchDaily
from payments.tests.kit import VISA, code, nothing_changes, together
from streaming import delivered, sessions
from streaming.models import PlaybackSession
from streaming.tests.delivery_kit import random_bytes
from streaming.tests.kit import deliver
from videos.tests import processes

PAYMENTS = "/api/v1/payments"
AGENT = "Phone/1.0"
SEGMENT = random_bytes(200_000)
LAST = 15  # segments of a video of 60 seconds


@pytest.fixture
def unhurried(monkeypatch):
    """Do not wait for delivery processes where a test has none."""
    monkeypatch.setattr("streaming.sessions.SETTLED_SECONDS", 0.0)


@pytest.fixture
def returns(client_for):
    """Return a function that asks for the order's money back, as its buyer."""

    def post(order, **headers):
        url = f"{PAYMENTS}/orders/{order.pk}/refund"
        return client_for(order.buyer).post(url, headers=headers)

    return post


def play(user, video) -> tuple[PlaybackSession, str]:
    token = sessions.stream_token(user=user, video_id=video.pk)[0]
    return sessions.redeem(token=token, client=sessions.Client(AGENT, "127.0.0.1"))


def assert_kept(order: Order) -> None:
    order.refresh_from_db()
    assert order.status == "paid"
    assert Entitlement.objects.live().filter(source_id=order.pk).exists()
    assert not Refund.objects.filter(payment__order=order).exists()


class Player:
    """A client that fetches a video's segments from real web processes, without heartbeats."""

    def __init__(self, port: int, user, video):
        self.port, self.user, self.video = port, user, video
        self.begin()

    def begin(self) -> None:
        """Start another playback session."""
        self.session, self.grant = play(self.user, self.video)

    def url(self, number: int, rendition: str = "360") -> str:
        path = f"{self.grant}/{self.video.pk}/{self.session.version}/{rendition}/{number}.m4s"
        return f"http://127.0.0.1:{self.port}/media/{path}"

    def get(self, number: int, rendition: str = "360", method: str = "GET", **headers) -> None:
        answer = httpx.request(
            method, self.url(number, rendition), headers={"User-Agent": AGENT, **headers}
        )
        assert answer.status_code in {200, 206}


def whole(player: Player) -> None:
    for number in range(1, LAST + 1):
        player.get(number)


def but_for_the_last_byte(player: Player) -> None:
    for number in range(1, LAST + 1):
        player.get(number, Range=f"bytes=0-{len(SEGMENT) - 2}")


def in_several_sessions(player: Player) -> None:
    for first in (1, 6, 11):
        player.begin()
        for number in range(first, first + 5):
            player.get(number)


def broken_off(player: Player) -> None:
    for number in range(1, LAST + 1):
        with httpx.stream("GET", player.url(number), headers={"User-Agent": AGENT}) as answer:
            next(answer.iter_raw(1000))


def a_few_segments_again_and_again(player: Player) -> None:
    for _ in range(2):
        player.begin()
        for number in (1, 2, 3):
            player.get(number)
            player.get(number, "1080")
    for number in range(1, LAST + 1):
        player.get(number, method="HEAD")


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_what_was_sent_counts_however_it_was_fetched(make_user, make_video, media, buy, returns):
    video = make_video(price=1999)
    for rendition in ("360", "1080"):
        folder = video.version_folder / rendition
        folder.mkdir(parents=True)
        for number in range(1, LAST + 1):
            (folder / f"{number}.m4s").write_bytes(SEGMENT)

    with processes.web(WEB_WORKERS="2") as (_, port):
        for fetch in (whole, but_for_the_last_byte, in_several_sessions, broken_off):
            order = buy(make_user(), video)
            fetch(Player(port, order.buyer, video))
            answer = returns(order)  # at once: the processes have not stored all of it yet
            assert (answer.status_code, code(answer)) == (409, "watched_too_much"), fetch
            assert_kept(order)
            assert code(returns(order)) == "watched_too_much"

        order = buy(make_user(), video)
        a_few_segments_again_and_again(Player(port, order.buyer, video))
        answer = returns(order)  # twelve of sixty seconds
        assert (answer.status_code, answer.data["status"]) == (200, "refunded")
    assert not WatchDaily.objects.exists()
    assert verification.verify_ledger().discrepancies == 0


@pytest.mark.django_db
@pytest.mark.usefixtures("unhurried")
class TestReturning:
    def test_playback_stops_and_can_be_started_again_after_a_refusal(
        self, viewer, make_video, buy, returns
    ):
        video = make_video(price=1999)
        order = buy(viewer, video)
        session, _ = play(viewer, video)
        deliver(session.pk, 16)
        assert code(returns(order)) == "watched_too_much"
        session.refresh_from_db()
        assert session.end_reason == "stopped"
        assert play(viewer, video)[0].ended_at is None

    def test_a_session_that_is_started_meanwhile_is_a_refusal(
        self, viewer, make_video, buy, returns, monkeypatch
    ):
        video = make_video(price=1999)
        order = buy(viewer, video)
        play(viewer, video)
        monkeypatch.setattr("streaming.sessions.time.sleep", lambda seconds: play(viewer, video))
        answer = returns(order)
        assert (answer.status_code, code(answer)) == (409, "playback_running")
        assert answer["Retry-After"] == "3"
        assert_kept(order)

    @pytest.mark.parametrize(
        ("duration", "parts", "answer"),
        [
            (3.0, 1, "watched_too_much"),
            (7.9, 1, "watched_too_much"),
            (8.0, 1, None),
            (12.0, 2, "watched_too_much"),
            (40.0, 2, None),
            (39.9, 2, "watched_too_much"),
            (None, 1, "watched_too_much"),
        ],
    )
    def test_one_segment_is_no_use_unless_it_is_most_of_the_video(
        self, viewer, make_video, buy, returns, duration, parts, answer
    ):
        video = make_video(price=1999)
        order = buy(viewer, video)
        deliver(play(viewer, video)[0].pk, 4 * parts)
        type(video).objects.filter(pk=video.pk).update(duration_seconds=duration)
        returned = returns(order)
        assert (code(returned) if returned.status_code != 200 else None) == answer

    def test_other_accesses_do_not_count(self, viewer, make_video, buy, subscribe, returns):
        """What was watched under a subscription before the purchase was paid for by it."""
        video = make_video(price=1999)
        subscribe(viewer)
        deliver(play(viewer, video)[0].pk, 60)
        order = buy(viewer, video)
        assert returns(order).data["status"] == "refunded"

    @pytest.mark.parametrize("kind", ["buy", "rent"])
    def test_parts_of_several_orders_add_up(
        self, viewer, make_video, client_for, returns, settings, kind
    ):
        settings.REFUNDS_PER_VIDEO = 9
        video = make_video(price=1999, rental_price=399, rental_hours=48)
        refused = None
        for number in range(5):
            body = {"payment_method": VISA, "kind": kind}
            bought = client_for(viewer).post(f"{PAYMENTS}/purchase/{video.pk}", body)
            order = Order.objects.get(pk=bought.data["order"]["id"])
            session, _ = play(viewer, video)
            parts = 0b111 << (1 + 3 * number)
            delivered.record({session.pk: parts})
            answer = returns(order)
            if answer.status_code != 200:
                refused = number, code(answer)
                break
        assert refused == (1, "watched_too_much")

    def test_what_was_sent_for_an_order_whose_money_the_bank_kept_counts_for_the_next(
        self, viewer, admin, make_video, buy, client_for, returns
    ):
        video = make_video(price=1999)
        first = buy(viewer, video)
        deliver(play(viewer, video)[0].pk, 60)
        for step, body in (("dispute", {}), ("reinstate", {"amount": "0.00"})):
            client_for(admin).post(f"{PAYMENTS}/sandbox/payments/{first.pk}/{step}", body)
        bought = client_for(viewer).post(
            f"{PAYMENTS}/purchase/{video.pk}", {"payment_method": VISA}
        )
        second = Order.objects.get(pk=bought.data["order"]["id"])
        with nothing_changes():
            assert code(returns(second)) == "watched_too_much"
        assert_kept(second)


@pytest.mark.django_db
class TestLimits:
    @pytest.fixture
    def again(self, viewer, client_for):
        def purchase(video, user=viewer) -> Order:
            body = {"payment_method": VISA}
            answer = client_for(user).post(f"{PAYMENTS}/purchase/{video.pk}", body)
            return Order.objects.get(pk=answer.data["order"]["id"])

        return purchase

    def test_a_video_can_be_returned_once(self, make_video, again, returns, client_for, admin):
        video = make_video(price=1999)
        first = again(video)
        assert returns(first).status_code == 200
        second = again(video)
        with nothing_changes():
            answer = returns(second)
        assert (answer.status_code, code(answer)) == (409, "refund_limit_reached")
        assert_kept(second)
        with nothing_changes():
            assert code(returns(first)) == "not_refundable"
        answer = client_for(admin).post(f"{PAYMENTS}/admin/orders/{second.pk}/refund", {})
        assert answer.status_code == 200  # an administrator has no limit

    def test_an_administrators_refund_does_not_count(
        self, make_video, again, returns, client_for, admin
    ):
        video = make_video(price=1999)
        client_for(admin).post(f"{PAYMENTS}/admin/orders/{again(video).pk}/refund", {})
        assert returns(again(video)).status_code == 200

    def test_another_buyer_has_limits_of_their_own(self, make_video, again, returns, make_user):
        video = make_video(price=1999)
        assert returns(again(video)).status_code == 200
        assert returns(again(video, make_user())).status_code == 200

    def test_a_buyer_can_return_so_many_videos_in_thirty_days(
        self, make_video, again, returns, settings
    ):
        settings.REFUNDS_PER_30_DAYS = 2
        for _ in range(2):
            assert returns(again(make_video(price=500))).status_code == 200
        with time_machine.travel(timezone.now() + timedelta(days=29)):
            order = again(make_video(price=500))
            with nothing_changes():
                answer = returns(order)
            assert code(answer) == "refund_limit_reached"
            assert "2 videos within 30 days" in answer.data["errors"][0]["detail"]
        with time_machine.travel(timezone.now() + timedelta(days=31)):
            assert returns(order).status_code == 200

    def test_zero_leaves_refunds_to_administrators(self, make_video, again, returns, settings):
        settings.REFUNDS_PER_VIDEO = 0
        order = again(make_video(price=500))
        with nothing_changes():
            assert code(returns(order)) == "refund_limit_reached"
        assert_kept(order)

    def test_the_same_key_continues_one_refund(self, make_video, again, returns):
        order = again(make_video(price=500))
        first = returns(order, **{"Idempotency-Key": "one"})
        second = returns(order, **{"Idempotency-Key": "one"})
        assert json.loads(first.content) == json.loads(second.content)
        assert Refund.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_simultaneous_returns_do_not_exceed_the_limit(viewer, make_video, buy, returns, settings):
    settings.REFUNDS_PER_30_DAYS = 1
    bought = [buy(viewer, make_video(price=500)) for _ in range(4)]
    answers = together([lambda order=order: returns(order).status_code for order in bought])
    assert sorted(answers) == [200, 409, 409, 409]
    assert Refund.objects.count() == 1


class Buyer:
    """A buyer who calls a real web process over HTTP."""

    def __init__(self, port: int, user):
        self.base = f"http://127.0.0.1:{port}/api/v1/payments"
        self.headers = {"Authorization": f"Bearer {tokens.issue(user).access}"}

    def post(self, path: str, body: dict | None = None) -> tuple[int, str, float]:
        """Return the status, the code of an error, and the moment of the answer."""
        answer = httpx.post(
            f"{self.base}/{path}", json=body or {}, headers=self.headers, timeout=60
        )
        errors = answer.json().get("errors", [{}])
        return answer.status_code, errors[0].get("code", ""), time.monotonic()


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_buyers_who_wait_for_their_refund_keep_no_other_buyer_waiting(
    make_user, make_video, media, buy
):
    """Seen once: each waited two seconds in one of two threads that write, and a purchase got 503."""
    crowd = [buy(make_user(), make_video(price=500)) for _ in range(7)]
    other, video = make_user(), make_video(price=500)
    with processes.web(RATE_LIMIT_DEFAULT="0") as (_, port):
        buyers = [Buyer(port, order.buyer) for order in crowd]
        shopper = Buyer(port, other)
        assert shopper.post("orders/none/refund")[0] == 404  # the process is warm
        for order in crowd:
            play(order.buyer, order.video)
        started = threading.Event()

        def refund(number: int) -> tuple[int, str, float]:
            started.set()
            return buyers[number].post(f"orders/{crowd[number].pk}/refund")

        with ThreadPoolExecutor(len(crowd)) as pool:
            refunds = [pool.submit(refund, number) for number in range(len(crowd))]
            assert started.wait(10)
            time.sleep(0.3)
            status, _, at = shopper.post(f"purchase/{video.pk}", {"payment_method": VISA})
            answers = [call.result() for call in refunds]
    assert status == 201
    assert at < max(moment for *_, moment in answers)
    assert {answer[0] for answer in answers} == {200}
    assert verification.verify_ledger().discrepancies == 0


@pytest.mark.django_db(transaction=True)
def test_a_buyer_returns_one_video_at_a_time(viewer, make_video, media, buy):
    orders = [buy(viewer, make_video(price=500)) for _ in range(2)]
    with processes.web() as (_, port):
        buyer = Buyer(port, viewer)
        play(viewer, orders[0].video)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(buyer.post, f"orders/{orders[0].pk}/refund")
            time.sleep(0.7)
            status, refusal, at = buyer.post(f"orders/{orders[1].pk}/refund")
            assert (status, refusal) == (409, "return_in_progress")
            assert first.result()[0] == 200
            assert at < first.result()[2]
        assert_kept(orders[1])
        assert buyer.post(f"orders/{orders[1].pk}/refund")[0] == 200
