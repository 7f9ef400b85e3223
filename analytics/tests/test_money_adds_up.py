"""In every report, the money that came in and stayed equals the shares that it became."""

from decimal import Decimal

import pytest
from django.utils import timezone

from payments.gateways.sandbox import charging
from payments.models import Coupon
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment

pytestmark = pytest.mark.django_db

CREATOR, ADMIN = "/api/v1/analytics/creator", "/api/v1/analytics/admin"
EARNINGS = "/api/v1/payments/creator/earnings"


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999)


@pytest.fixture
def history(make_user, make_video, admin, buy, subscribe, video):
    """Sales of one video: one kept, one refunded in part, one in full, one disputed, one half disputed.

    Beside them a sale by another creator and a subscription.
    """
    buy(make_user(), video)
    for amount in (500, None):
        order = buy(make_user(), video)
        refunds.refund_order(order_id=order.pk, amount=amount, reason="", actor=admin)
    for returned in (0, 1000):
        payment = buy(make_user(), video).payments.get()
        dispute = charging.open_dispute(payment.external_id, fee=1500)
        sync_payment(gateway="sandbox", external_id=payment.external_id)
        charging.close_dispute(dispute.pk, reinstated=returned)
        sync_payment(gateway="sandbox", external_id=payment.external_id)
    buy(make_user(), make_video(price=3000))
    subscribe(make_user())


def amounts(totals: dict) -> dict[str, Decimal]:
    return {
        name: Decimal(value[0]["amount"])
        for name, value in totals.items()
        if isinstance(value, list)
    }


def test_a_creators_totals(client_for, creator, video, history):
    url = f"/api/v1/analytics/videos/{video.pk}"
    for answer in (client_for(creator).get(CREATOR), client_for(creator).get(url)):
        totals = amounts(answer.json()["totals"])
        assert totals == {
            "gross": Decimal("99.95"),  # five times 19.99
            "refunds": Decimal("24.99"),
            "disputes": Decimal("29.98"),  # 19.99, and 9.99 of the one that returned 10.00
            "creator_share": Decimal("36.00"),  # 16.00 + 12.00 + 8.00
            "platform_share": Decimal("8.98"),
            "promotions": 0,
            "losses": 0,
            "waiting": 0,
            "earnings": Decimal("36.00"),
        }
        assert totals["gross"] - totals["refunds"] - totals["disputes"] == (
            totals["creator_share"] + totals["platform_share"]
        )


def test_the_creators_page_of_payments_says_the_same(client_for, creator, history):
    (paid,) = client_for(creator).get(EARNINGS).json()["totals"]
    totals = amounts(client_for(creator).get(CREATOR).json()["totals"])

    for name in ("gross", "refunds", "disputes", "earnings"):
        assert Decimal(paid[name]) == totals[name]
    assert Decimal(paid["net"]) == totals["creator_share"] + totals["platform_share"]


def test_the_platforms_totals(client_for, admin, history):
    data = client_for(admin).get(ADMIN).json()
    totals = amounts(data["totals"])
    (revenue,) = data["revenue"]

    assert totals["gross"] == Decimal("139.94")  # six videos and a subscription
    assert totals["waiting"] == Decimal("9.99")
    assert (totals["creator_share"], totals["platform_share"]) == (
        Decimal("60.00"),
        Decimal("14.98"),
    )
    assert totals["gross"] - totals["refunds"] - totals["disputes"] == (
        totals["creator_share"] + totals["platform_share"] + totals["waiting"]
    )
    assert Decimal(revenue["gross"]) == totals["gross"]
    assert Decimal(revenue["disputes"]) == totals["disputes"] == Decimal("29.98")
    assert Decimal(revenue["refunds"]) == totals["refunds"]


def test_a_discount_by_the_platform_is_a_promotion(client_for, creator, viewer, video):
    Coupon.objects.create(code="GIFT", percent_bps=10_000, starts_at=timezone.now())
    body = {"coupon": "GIFT", "payment_method": "pm_card_visa"}
    answer = client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}", body)
    assert answer.json()["order"]["status"] == "paid"

    totals = amounts(client_for(creator).get(CREATOR).json()["totals"])

    assert (totals["gross"], totals["refunds"]) == (0, 0)
    assert (totals["creator_share"], totals["platform_share"]) == (16, Decimal("3.99"))
    assert totals["promotions"] == Decimal("19.99")
    assert totals["earnings"] == 16
