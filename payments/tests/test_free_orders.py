"""Orders that cost nothing can be taken back, with their books, their access and their playback."""

import json

import pytest
from django.utils import timezone

from audit.models import AuditEntry
from config.tests import desk
from payments.books import verification
from payments.models import Coupon, Entitlement, JournalEntry, Notice, Order, Refund
from payments.periods import Month
from payments.services.payouts import statements
from payments.tests.kit import VISA, balances, code, nothing_changes, together

PAYMENTS = "/api/v1/payments"
GIVEN = {"creator:USD": 1600, "platform:USD": 399, "promotions:USD": -1999}


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999, rental_price=399, rental_hours=48)


@pytest.fixture
def gift(client_for, viewer, video, creator):
    """Return a function that gets the video with a coupon of 100 %, over HTTP."""

    def get(*, funded_by="platform", kind="buy") -> Order:
        owner = creator if funded_by == "creator" else None
        Coupon.objects.create(
            code="GIFT", percent_bps=10_000, funded_by=funded_by, creator=owner, max_redemptions=1
        )
        body = {"coupon": "GIFT", "kind": kind}
        answer = client_for(viewer).post(f"{PAYMENTS}/purchase/{video.pk}", body)
        assert answer.data["order"]["status"] == "paid", answer.data
        return Order.objects.get()

    return get


@pytest.fixture
def take_back(client_for, admin):
    def post(order, **body):
        return client_for(admin).post(f"{PAYMENTS}/admin/orders/{order.pk}/refund", body)

    return post


def assert_taken_back(order: Order) -> None:
    order.refresh_from_db()
    assert order.status == "refunded"
    assert balances() == {}
    assert not Entitlement.objects.live().exists()
    # The use of the coupon stays used, as after every refund.
    coupon = Coupon.objects.get()
    assert (coupon.redeemed, coupon.redemptions.get().state) == (1, "used")
    check = verification.verify_ledger()
    assert check.discrepancies == 0, check.first_discrepancies


@pytest.mark.django_db
class TestTakingBack:
    @pytest.mark.parametrize("funded_by", ["platform", "creator"])
    @pytest.mark.parametrize("kind", ["buy", "rent"])
    def test_an_administrator_takes_a_free_order_back(
        self, gift, take_back, admin, funded_by, kind
    ):
        order = gift(funded_by=funded_by, kind=kind)
        answer = take_back(order, reason="a coupon that leaked")

        assert (answer.status_code, answer.data["status"]) == (200, "refunded")
        assert_taken_back(order)
        booked = JournalEntry.objects.filter(kind="gift_reversed").count()
        assert booked == (1 if funded_by == "platform" else 0)
        (entry,) = AuditEntry.objects.filter(action="order.refunded")
        assert (entry.actor_id, entry.data["reason"]) == (admin.pk, "a coupon that leaked")
        assert Notice.objects.filter(subject__contains="was taken back").count() == 1
        assert not Refund.objects.exists()
        with nothing_changes():
            again = take_back(order)
        assert code(again) == "not_refundable"
        assert "was taken back already" in again.data["errors"][0]["detail"]

    def test_it_is_taken_back_as_a_whole(self, gift, take_back):
        order = gift()
        with nothing_changes():
            answer = take_back(order, amount="5.00")
        assert (answer.status_code, code(answer)) == (422, "refund_too_large")
        assert balances() == GIVEN

    def test_the_video_can_be_bought_afterwards(self, gift, take_back, client_for, viewer, video):
        take_back(gift())
        body = {"payment_method": VISA}
        answer = client_for(viewer).post(f"{PAYMENTS}/purchase/{video.pk}", body)
        assert answer.data["order"]["status"] == "paid"
        assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}

    def test_the_buyer_and_the_creator_cannot(self, gift, client_for, viewer, creator):
        order = gift()
        with nothing_changes():
            for user in (viewer, creator):
                url = f"{PAYMENTS}/admin/orders/{order.pk}/refund"
                assert client_for(user).post(url, {}).status_code == 403
            own = client_for(viewer).post(f"{PAYMENTS}/orders/{order.pk}/refund", {})
            assert code(own) == "not_refundable"

    def test_the_admin_site_takes_it_back(self, gift, client, admin):
        order = gift()
        client.force_login(admin)
        answer = desk.act(client, "refund_in_full", order)
        assert b"Refunded" in answer.content
        assert_taken_back(order)
        with nothing_changes():
            again = desk.act(client, "refund_in_full", order)
        assert b"cost nothing, and was taken back already" in again.content

    @pytest.mark.usefixtures("clock")  # no month ends between the order and its statement
    def test_a_statement_shows_the_share_that_was_taken_back(self, gift, take_back, creator):

        order = gift()
        take_back(order)
        body = json.loads(
            statements.compute(Month.of(timezone.now().date()), "USD")[str(creator.pk)]
        )
        (line,) = body["sales"]
        assert (line["count"], line["gross"], line["share"]) == (1, "0.00", "0.00")
        assert body["closing"] == "0.00"


@pytest.mark.django_db(transaction=True)
def test_two_administrators_take_it_back_once(gift, take_back):
    order = gift()
    answers = together([lambda: take_back(order).status_code] * 4)
    assert sorted(answers) == [200, 409, 409, 409]
    assert_taken_back(order)
