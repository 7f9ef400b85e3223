"""Coupons, rentals, and the pages of offers."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from hypothesis import given
from hypothesis import strategies as st

from payments.entitlements import can_watch, can_watch_each
from payments.gateways.sandbox import charging
from payments.models import (
    Coupon,
    CouponRedemption,
    Entitlement,
    JournalEntry,
    Order,
    Payment,
    SandboxPayment,
    SandboxRefund,
)
from payments.services.buying import checkout, orders
from payments.services.offers import coupons
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA, balances, code, nothing_changes, statements, together

SPRING = {"code": "SPRING", "percent_bps": 2500}


def url(video) -> str:
    return f"/api/v1/payments/purchase/{video.pk}"


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999, rental_price=399, rental_hours=48)


@given(st.integers(0, 10**12), st.integers(1, 10_000))
def test_a_percentage_never_takes_more_than_the_price(price, percent_bps):
    discount = coupons.discount(Coupon(percent_bps=percent_bps), price)
    assert 0 <= discount <= price
    assert discount == price * percent_bps // 10_000


@pytest.mark.django_db
class TestCoupons:
    def buy(self, client, video, coupon, **body):
        return client.post(url(video), {"coupon": coupon, "payment_method": VISA, **body})

    @pytest.mark.promise("platform-coupon-costs-the-platform")
    def test_the_creator_gets_the_share_of_the_list_price(self, client_for, viewer, video):
        """A coupon that the platform funds lowers the buyer's price, not the creator's share."""
        Coupon.objects.create(**SPRING)
        answer = self.buy(client_for(viewer), video, "spring")
        order = answer.data["order"]
        assert (answer.status_code, order["status"]) == (201, "paid")
        assert (order["list_amount"], order["discount"], order["amount"]) == (
            "19.99",
            "4.99",
            "15.00",
        )
        assert SandboxPayment.objects.get().captured == 1500
        assert balances() == {
            "clearing:USD": -1500,
            "creator:USD": 1600,
            "platform:USD": 399,
            "promotions:USD": -499,
        }

    def test_a_coupon_that_the_creator_funds_lowers_both_shares(
        self, client_for, viewer, video, creator
    ):
        Coupon.objects.create(**SPRING, funded_by="creator", creator=creator)
        self.buy(client_for(viewer), video, "SPRING")
        assert balances() == {"clearing:USD": -1500, "creator:USD": 1200, "platform:USD": 300}

    @pytest.mark.parametrize("slices", [[1500], [1, 499, 700, 300], [750, 750]])
    def test_refunds_take_the_subsidy_back_in_any_slices(
        self, client_for, viewer, admin, video, slices
    ):
        Coupon.objects.create(**SPRING)
        self.buy(client_for(viewer), video, "SPRING")
        order = Order.objects.get()
        for part in slices:
            refunds.refund_order(order_id=order.pk, amount=part, reason="", actor=admin)
        assert balances() == {}

    @pytest.mark.promise("full-coupon-needs-no-gateway")
    def test_a_full_coupon_pays_without_the_gateway(self, client_for, viewer, video, creator):
        """A coupon of 100 % pays the order without the gateway and without a journal entry."""
        Coupon.objects.create(code="GIFT", percent_bps=10_000, funded_by="creator", creator=creator)
        answer = client_for(viewer).post(url(video), {"coupon": "gift"})
        assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
        assert answer.data["next_action"] is None
        assert answer.data["order"]["amount"] == "0.00"
        assert not SandboxPayment.objects.exists()
        assert not Payment.objects.exists()
        assert not JournalEntry.objects.exists()
        assert Entitlement.objects.live().get().video_id == video.pk

    def test_a_full_coupon_of_the_platform_still_pays_the_creator(self, client_for, viewer, video):
        Coupon.objects.create(code="GIFT", percent_bps=10_000)
        client_for(viewer).post(url(video), {"coupon": "gift"})
        assert balances() == {"creator:USD": 1600, "platform:USD": 399, "promotions:USD": -1999}

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"is_active": False}, "valid now"),
            ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, "valid now"),
            ({"starts_at": datetime(2100, 1, 1, tzinfo=UTC)}, "valid now"),
            ({"percent_bps": None, "amount": 500, "currency": "EUR"}, "prices in EUR"),
            ({"max_redemptions": 0}, "used up"),
            ({"per_user": 0}, "You have used"),
        ],
    )
    def test_a_coupon_that_cannot_be_used_says_why(self, client_for, viewer, video, fields, why):
        Coupon.objects.create(**{**SPRING, **fields})
        with nothing_changes():
            answer = self.buy(client_for(viewer), video, "SPRING")
        assert (answer.status_code, code(answer)) == (422, "coupon_invalid")
        assert why in answer.data["errors"][0]["detail"]
        assert answer.data["errors"][0]["attr"] == "coupon"

    def test_another_creators_coupon_is_not_for_this_video(
        self, client_for, viewer, video, make_user
    ):
        Coupon.objects.create(**SPRING, creator=make_user())
        with nothing_changes():
            answer = self.buy(client_for(viewer), video, "SPRING")
        assert code(answer) == "coupon_invalid"

    @pytest.mark.promise("coupon-limit-holds")
    @pytest.mark.parametrize("how", ["cancel", "expire"])
    def test_a_canceled_or_expired_order_releases_its_coupon(self, client_for, viewer, video, how):
        """An order that is canceled or expires releases its use of the coupon for the next order."""
        coupon = Coupon.objects.create(**SPRING, max_redemptions=1)
        client_for(viewer).post(url(video), {"coupon": "SPRING"})
        order = Order.objects.get()
        coupon.refresh_from_db()
        assert coupon.redeemed == 1
        if how == "cancel":
            client_for(viewer).post(f"/api/v1/payments/orders/{order.pk}/cancel")
        else:
            Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
            orders.expire_orders()
        coupon.refresh_from_db()
        assert coupon.redeemed == 0
        assert CouponRedemption.objects.get().state == "released"
        assert self.buy(client_for(viewer), video, "SPRING").status_code == 201
        coupon.refresh_from_db()
        assert coupon.redeemed == 1

    def test_a_plan_takes_no_coupon(self, client_for, viewer):
        Coupon.objects.create(**SPRING)
        with nothing_changes():
            answer = client_for(viewer).post(
                "/api/v1/payments/subscribe", {"coupon": "SPRING", "payment_method": VISA}
            )
        assert (answer.status_code, code(answer)) == (422, "coupon_invalid")


@pytest.mark.promise("coupon-limit-holds")
@pytest.mark.django_db(transaction=True)
def test_the_last_redemption_is_used_once(client_for, make_user, video):
    """If ten buyers use a coupon's last redemption at the same moment, one of them gets the order."""
    coupon = Coupon.objects.create(**SPRING, max_redemptions=1)
    clients = [client_for(make_user()) for _ in range(10)]
    body = {"coupon": "SPRING", "payment_method": VISA}
    answers = together([lambda c=c: c.post(url(video), body) for c in clients])
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 9
    coupon.refresh_from_db()
    assert (coupon.redeemed, CouponRedemption.objects.count()) == (1, 1)
    assert Order.objects.count() == 1


@pytest.mark.promise("rental-starts-with-first-play")
@pytest.mark.django_db
class TestRentals:
    """A rental: its hours begin with the first play, it ends by the clock, and it can be repeated."""

    def rent(self, client, video, **body):
        return client.post(url(video), {"kind": "rent", "payment_method": VISA, **body})

    def play(self, client, video) -> int:
        answer = client.get(f"/api/v1/stream/{video.pk}")
        if answer.status_code == 200:
            assert client.get(answer.data["stream_url"]).status_code == 302
        return answer.status_code

    def test_the_hours_begin_with_the_first_play(self, client_for, viewer, video):
        answer = self.rent(client_for(viewer), video)
        order = answer.data["order"]
        assert (order["kind"], order["rental_hours"], order["amount"]) == ("rent", 48, "3.99")
        assert balances() == {"clearing:USD": -399, "creator:USD": 320, "platform:USD": 79}
        entitlement, paid_at = Entitlement.objects.get(), timezone.now()
        assert entitlement.ends_at
        assert entitlement.ends_at - paid_at > timedelta(days=29, hours=23)
        with time_machine.travel(paid_at + timedelta(days=20)):
            assert self.play(client_for(viewer), video) == 200
            entitlement.refresh_from_db()
            begun = entitlement.begun_at
            assert begun
            assert entitlement.ends_at == begun + timedelta(hours=48)
        with time_machine.travel(begun + timedelta(hours=47)):
            assert self.play(client_for(viewer), video) == 200
            entitlement.refresh_from_db()
            assert entitlement.begun_at == begun
        with time_machine.travel(begun + timedelta(hours=48, seconds=1)):
            assert self.play(client_for(viewer), video) == 403

    def test_playback_does_not_outlive_the_rental(self, client_for, viewer, video):
        self.rent(client_for(viewer), video)
        with time_machine.travel(timezone.now()) as clock:
            client = client_for(viewer)
            assert self.play(client, video) == 200
            clock.shift(timedelta(hours=47, minutes=30))
            client = client_for(viewer)
            token = client.get(f"/api/v1/stream/{video.pk}").data["stream_url"]
            session = client.get(token, headers={"Accept": "application/json"}).data
            sessions = client.get("/api/v1/stream/sessions").data["results"]
            latest = next(row for row in sessions if row["id"] == str(session["session_id"]))
            assert parse_datetime(latest["expires_at"]) == Entitlement.objects.get().ends_at

    def test_a_rental_that_is_not_begun_in_time_ends(self, client_for, viewer, video):
        self.rent(client_for(viewer), video)
        with time_machine.travel(timezone.now() + timedelta(days=30, seconds=1)):
            assert self.play(client_for(viewer), video) == 403

    def test_a_rental_can_be_repeated_after_its_end_only(self, client_for, viewer, video):
        self.rent(client_for(viewer), video)
        with nothing_changes():
            again = self.rent(client_for(viewer), video)
        assert (again.status_code, code(again)) == (409, "already_owned")
        with time_machine.travel(timezone.now() + timedelta(days=31)):
            assert self.rent(client_for(viewer), video).status_code == 201
        assert Order.objects.filter(status="paid").count() == 2

    def test_a_rented_video_can_be_bought(self, client_for, viewer, video):
        self.rent(client_for(viewer), video)
        assert client_for(viewer).post(url(video), {"payment_method": VISA}).status_code == 201
        with nothing_changes():
            assert code(self.rent(client_for(viewer), video)) == "already_owned"
        with time_machine.travel(timezone.now() + timedelta(days=365)):
            assert self.play(client_for(viewer), video) == 200

    def test_a_refund_ends_a_rental_that_has_begun(self, client_for, viewer, admin, video):
        self.rent(client_for(viewer), video)
        assert self.play(client_for(viewer), video) == 200
        refunds.refund_order(order_id=Order.objects.get().pk, amount=None, reason="", actor=admin)
        assert self.play(client_for(viewer), video) == 403
        assert balances() == {}

    def test_a_failed_refund_restores_the_rental_with_its_old_end(
        self, client_for, viewer, admin, video
    ):
        self.rent(client_for(viewer), video)
        self.play(client_for(viewer), video)
        ends_at = Entitlement.objects.get().ends_at
        order = Order.objects.get()
        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
        charging.resolve_refund(SandboxRefund.objects.get().pk, succeeds=False)
        sync_payment(gateway="sandbox", external_id=order.payments.get().external_id)
        entitlement = Entitlement.objects.get()
        assert (entitlement.revoked_at, entitlement.ends_at) == (None, ends_at)

    def test_a_video_without_a_rental_price_is_not_rented(self, client_for, viewer, make_video):
        video = make_video(price=1999)
        with nothing_changes():
            answer = self.rent(client_for(viewer), video)
        assert (answer.status_code, code(answer)) == (422, "not_for_sale")

    def test_offers_show_both_prices_and_the_callers_access(self, client_for, viewer, video):
        mine = client_for(viewer).get(f"/api/v1/payments/offers/{video.pk}").data
        assert (mine["owned"], [row["kind"] for row in mine["offers"]]) == (False, ["buy", "rent"])
        self.rent(client_for(viewer), video)
        mine = client_for(viewer).get(f"/api/v1/payments/offers/{video.pk}").data
        assert (mine["owned"], mine["access"]) == (True, "order")


@pytest.mark.django_db
class TestAPageOfOffers:
    URL = "/api/v1/payments/offers"

    def test_each_video_shows_its_offers_and_the_callers_access(
        self, client_for, viewer, make_video, buy
    ):
        free, sold, bought = make_video(), make_video(price=500), make_video(price=700)
        hidden = make_video(visibility="private")
        buy(viewer, bought)
        ids = ",".join(str(video.pk) for video in (bought, hidden, free, sold))
        rows = client_for(viewer).get(self.URL, {"video": ids}).data["results"]
        assert [(row["video_id"], row["access"]) for row in rows] == [
            (bought.pk, "order"),
            (free.pk, "free"),
            (sold.pk, None),
        ]
        anonymous = client_for().get(self.URL, {"video": ids}).data["results"]
        assert [row["access"] for row in anonymous] == [None, "free", None]

    @pytest.mark.parametrize("video", ["", ",", "x", "1" * 40, ",".join(["0" * 32] * 101)])
    def test_an_invalid_list_of_videos_is_refused(self, client_for, db, video):
        assert client_for().get(self.URL, {"video": video}).status_code == 400


@pytest.mark.promise("access-in-one-query")
@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 50])
def test_access_to_a_page_of_videos_costs_one_query(viewer, make_video, subscribe, buy, number):
    """One query answers the access question for one or fifty videos, and agrees with can_watch."""
    videos = [make_video(price=500) for _ in range(number)]
    buy(viewer, videos[0])
    subscribe(viewer)
    with statements(exactly=1):
        answers = can_watch_each(viewer, videos)
    assert answers == {video.pk: can_watch(viewer, video) for video in videos}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"rental_price": "3.99"}, "rental_hours"),
        ({"rental_hours": 48}, "rental_price"),
        ({"rental_price": "0", "rental_hours": 48}, "rental_price"),
        ({"rental_price": "-1", "rental_hours": 48}, "rental_price"),
        ({"rental_price": "3.999", "rental_hours": 48}, "rental_price"),
        ({"rental_price": "3.99", "rental_hours": 0}, "rental_hours"),
        ({"rental_price": "3.99", "rental_hours": 48, "is_paid": False}, "rental_price"),
    ],
)
def test_an_incomplete_or_invalid_rental_price_is_refused(
    client_for, creator, make_video, body, attr
):
    video = make_video(creator=creator, price=1999)
    before = type(video).objects.filter(pk=video.pk).values().get()
    answer = client_for(creator).patch(f"/api/v1/videos/{video.pk}", body)
    assert answer.status_code == 400
    assert answer.data["errors"][0]["attr"] == attr
    assert type(video).objects.filter(pk=video.pk).values().get() == before


@pytest.mark.django_db
def test_a_creator_sets_and_removes_the_rental_price(client_for, creator, make_video):
    video = make_video(creator=creator, price=1999)
    body = {"rental_price": "3.99", "rental_hours": 48}
    answer = client_for(creator).patch(f"/api/v1/videos/{video.pk}", body)
    assert {name: answer.data[name] for name in body} == body
    body = {"rental_price": None, "rental_hours": None}
    answer = client_for(creator).patch(f"/api/v1/videos/{video.pk}", body)
    assert {name: answer.data[name] for name in body} == body


@pytest.mark.django_db
def test_another_coupon_makes_a_new_order(viewer, video):
    Coupon.objects.create(**SPRING)
    first, _ = checkout.purchase(
        buyer=viewer, video_id=video.pk, options=checkout.PurchaseOptions()
    )
    second, created = checkout.purchase(
        buyer=viewer, video_id=video.pk, options=checkout.PurchaseOptions(coupon="SPRING")
    )
    first.refresh_from_db()
    assert (created, first.status, second.amount) == (True, "expired", 1500)
