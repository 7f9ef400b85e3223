"""The creator API of money: balance, payouts, statements and prices."""

import json

import pytest
from django.utils import timezone

from accounts.roles import Role
from audit.models import AuditEntry
from payments.models import Payout
from payments.periods import Month
from payments.services.payouts import payouts, statements
from payments.services.settling import refunds
from payments.tests.kit import code, nothing_changes
from payments.tests.kit import statements as asked_for

pytestmark = pytest.mark.django_db

BALANCE = "/api/v1/payments/creator/balance"
STATEMENTS = "/api/v1/payments/creator/statements"
PAYOUTS = "/api/v1/payments/creator/payouts"


def prices(video) -> str:
    return f"/api/v1/payments/creator/videos/{video.pk}/offers"


@pytest.fixture
def no_hold(settings):
    settings.PAYOUT_HOLD_DAYS = 0


@pytest.fixture
def month() -> Month:
    """The month of the sales, if the test stops the clock before them."""
    return Month.of(timezone.now().date())


@pytest.fixture
def sold(make_user, make_video, creator, buy):
    """Three sales: two videos of the creator, in two currencies, and one of another creator."""
    videos = [
        make_video(creator=creator, price=1999),
        make_video(creator=creator, price=100_000, currency="JPY"),
        make_video(price=5000),
    ]
    return [buy(make_user(), video) for video in videos]


def test_earnings_in_their_hold_are_pending(client_for, creator, sold):
    assert client_for(creator).get(BALANCE).json() == {
        "balances": [
            {
                "currency": "JPY", "balance": "80000", "pending": "80000", "available": "0",
                "in_transit": "0", "negative": "0",
            },
            {
                "currency": "USD", "balance": "16.00", "pending": "16.00", "available": "0.00",
                "in_transit": "0.00", "negative": "0.00",
            },
        ]
    }  # fmt: skip


def test_a_creator_without_sales_has_no_balance(client_for, make_user):
    assert client_for(make_user(Role.CREATOR)).get(BALANCE).json() == {"balances": []}


def test_a_creator_requests_a_payout_of_the_available_balance(client_for, creator, no_hold, sold):
    client = client_for(creator)

    answer = client.post(PAYOUTS)

    assert answer.status_code == 201
    made = {row["currency"]: (row["amount"], row["status"]) for row in answer.data["payouts"]}
    assert made == {"JPY": ("80000", "draft"), "USD": ("16.00", "draft")}
    _, dollars = client.get(BALANCE).data["balances"]
    assert (dollars["balance"], dollars["in_transit"]) == ("0.00", "16.00")
    listed = client.get(PAYOUTS).data["results"]
    assert {row["id"] for row in listed} == {row["id"] for row in answer.data["payouts"]}
    assert Payout.objects.filter(requested_by=creator).count() == 2


def test_a_second_request_makes_no_second_payout(client_for, creator, no_hold, sold):
    client = client_for(creator)
    client.post(PAYOUTS)

    with nothing_changes():
        again = client.post(PAYOUTS)

    assert (again.status_code, code(again)) == (409, "nothing_to_pay_out")


def test_a_payout_request_with_the_same_key_is_replayed(client_for, creator, no_hold, sold):
    client = client_for(creator)
    first = client.post(PAYOUTS, HTTP_IDEMPOTENCY_KEY="once")

    with nothing_changes():
        again = client.post(PAYOUTS, HTTP_IDEMPOTENCY_KEY="once")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again["Idempotent-Replayed"] == "true"


@pytest.mark.promise("payout-waits-for-hold-and-minimum")
def test_earnings_in_their_hold_are_not_paid_out(client_for, creator, sold):
    """A creator with all earnings still in their hold is answered 409 and gets no payout."""
    with nothing_changes():
        answer = client_for(creator).post(PAYOUTS)

    assert (answer.status_code, code(answer)) == (409, "nothing_to_pay_out")


@pytest.mark.promise("refund-after-payout-becomes-debt")
def test_a_refund_after_the_payout_makes_the_balance_negative(
    client_for, creator, admin, make_user, make_video, buy, no_hold, sold
):
    """A refund after the payout makes the balance negative and the next payout smaller."""
    for payout in payouts.run():
        payouts.approve(payout_id=payout.pk, actor=admin)
        payouts.mark_paid(payout_id=payout.pk, external_ref="B1", actor=admin)
    refunds.refund_order(order_id=sold[0].pk, amount=None, reason="", actor=admin)
    client = client_for(creator)

    _, dollars = client.get(BALANCE).data["balances"]
    assert (dollars["balance"], dollars["negative"]) == ("-16.00", "16.00")
    assert dollars["available"] == "0.00"
    with nothing_changes():
        assert code(client.post(PAYOUTS)) == "nothing_to_pay_out"

    buy(make_user(), make_video(creator=creator, price=5000))
    (made,) = client.post(PAYOUTS).data["payouts"]
    assert (made["amount"], made["currency"]) == ("24.00", "USD")


@pytest.mark.usefixtures("clock")
def test_a_statement_is_read_as_json(client_for, creator, sold, month):
    for currency in ("JPY", "USD"):
        statements.write(month, currency)

    answer = client_for(creator).get(f"{STATEMENTS}/{month}").json()

    yen, dollars = answer["statements"]
    assert (answer["period"], yen["currency"]) == (str(month), "JPY")
    assert dollars["body"] == json.loads(dollars["canonical"])
    assert statements.sha256(dollars["canonical"]) == dollars["sha256"]
    assert dollars["body"]["closing"] == "16.00"
    assert dollars["body"]["sales"] == [
        {
            "video": str(sold[0].video_id), "count": 1, "gross": "19.99", "returned": "0.00",
            "share": "16.00",
        }
    ]  # fmt: skip
    listed = client_for(creator).get(STATEMENTS).json()["results"]
    assert {(row["period"], row["currency"]) for row in listed} == {
        (str(month), "JPY"),
        (str(month), "USD"),
    }


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("form", ["{}.csv", "{}?format=csv"])
def test_a_statement_is_read_as_csv(client_for, creator, sold, month, form):
    for currency in ("JPY", "USD"):
        statements.write(month, currency)

    answer = client_for(creator).get(f"{STATEMENTS}/{form.format(month)}")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="statement-{month}.csv"' in answer["Content-Disposition"]
    lines = answer.content.decode().splitlines()
    assert lines[0] == "currency,line,about,count,gross,returned,amount"
    assert lines[1] == f"JPY,opening,{month},,,,0"
    assert f"USD,sales,{sold[0].video_id},1,19.99,0.00,16.00" in lines
    assert lines[-1] == f"USD,closing,{month},,,,16.00"


@pytest.mark.usefixtures("clock")
@pytest.mark.promise("others-records-not-found")
def test_another_creators_statement_is_answered_404(client_for, make_user, sold, month):
    """Another creator's statement is answered 404 and is not listed."""
    statements.write(month, "USD")
    other = client_for(make_user(Role.CREATOR))

    for path in (f"{STATEMENTS}/{month}", f"{STATEMENTS}/{month}.csv", f"{STATEMENTS}/2020-01"):
        assert other.get(path).status_code == 404
    assert other.get(STATEMENTS).json()["results"] == []


@pytest.mark.parametrize("period", ["2026-13", "x", "2026-1", "%00", "2026-01%0a"])
def test_an_invalid_month_is_answered_404(client_for, creator, sold, period):
    assert client_for(creator).get(f"{STATEMENTS}/{period}").status_code == 404


@pytest.mark.usefixtures("clock")
def test_an_unknown_format_is_refused(client_for, creator, sold, month):
    statements.write(month, "USD")
    assert client_for(creator).get(f"{STATEMENTS}/{month}?format=xml").status_code == 400


def test_prices_of_a_video_are_set_as_a_whole(client_for, creator, make_video):
    video = make_video(creator=creator, price=500, rental_price=200, rental_hours=48)
    client = client_for(creator)
    before = {
        "id": str(video.pk), "is_paid": True, "price": "5.00", "currency": "USD",
        "rental_price": "2.00", "rental_hours": 48,
    }  # fmt: skip
    assert client.get(prices(video)).json() == before

    answer = client.put(prices(video), {"price": "7.50", "currency": "EUR"})

    after = {
        **before,
        "price": "7.50",
        "currency": "EUR",
        "rental_price": None,
        "rental_hours": None,
    }
    assert (answer.status_code, answer.json()) == (200, after)
    assert client.get(prices(video)).json() == after
    entry = AuditEntry.objects.get(action="video.changed")
    assert (entry.actor_id, entry.data["price"], entry.data["currency"]) == (creator.pk, 750, "EUR")


def test_a_price_of_zero_makes_a_video_free(client_for, creator, make_video):
    video = make_video(creator=creator, price=500)

    answer = client_for(creator).put(prices(video), {"price": 0})

    assert (answer.json()["is_paid"], answer.json()["price"]) == (False, "0.00")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "price"),
        ({"price": "-1"}, "price"),
        ({"price": "1.999"}, "price"),
        ({"price": "5", "currency": "XXX"}, "currency"),
        ({"price": "5", "rental_price": "2"}, "rental_hours"),
        ({"price": "5", "rental_hours": 24}, "rental_price"),
        ({"price": "5", "rental_price": "0", "rental_hours": 24}, "rental_price"),
        ({"price": "0", "rental_price": "2", "rental_hours": 24}, "rental_price"),
    ],
)
def test_invalid_prices_change_nothing(client_for, creator, make_video, body, field):
    video = make_video(creator=creator, price=500)
    before = type(video).objects.values().get(pk=video.pk)

    answer = client_for(creator).put(prices(video), body)

    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, field)
    assert type(video).objects.values().get(pk=video.pk) == before


@pytest.mark.promise("others-records-not-found")
@pytest.mark.parametrize("role", [Role.CREATOR, Role.ADMIN])
def test_prices_of_another_creators_video_are_answered_404(client_for, make_user, make_video, role):
    """The prices of another creator's video can be neither read nor set here, not even by an
    administrator."""
    video = make_video(price=500)
    before = type(video).objects.values().get(pk=video.pk)
    client = client_for(make_user(role))

    assert client.get(prices(video)).status_code == 404
    assert client.put(prices(video), {"price": "0"}).status_code == 404
    assert type(video).objects.values().get(pk=video.pk) == before


def test_only_creators_may_use_the_creator_api(
    client_for, viewer, creator, make_video, no_hold, sold
):
    video = make_video(creator=creator, price=500)
    for url in (BALANCE, STATEMENTS, f"{STATEMENTS}/2026-01", PAYOUTS, prices(video)):
        assert client_for().get(url).status_code == 401
        assert client_for(viewer).get(url).status_code == 403
    with nothing_changes():
        assert client_for().post(PAYOUTS).status_code == 401
        assert client_for(viewer).post(PAYOUTS).status_code == 403
        assert client_for(viewer).put(prices(video), {"price": "0"}).status_code == 403


@pytest.mark.parametrize("number", [1, 12])
def test_lists_cost_the_same_queries_for_any_length(client_for, creator, admin, settings, number):
    settings.AUDIT_READS = False
    for index in range(number):
        Payout.objects.create(
            creator=creator,
            currency="USD",
            amount=100 + index,
            status="paid",
            cutoff=timezone.now(),
        )
    client = client_for(creator)
    client.get(PAYOUTS)
    with asked_for(exactly=2):  # the user, the page
        assert len(client.get(PAYOUTS).data["results"]) == number
