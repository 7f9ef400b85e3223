"""Reports: a creator's earnings, the platform's revenue, and the trial balance."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from payments.books.columns import amount, columns
from payments.models import JournalEntry, Order, Payment, Plan, Refund
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA, statements

pytestmark = pytest.mark.django_db

Kind = JournalEntry.Kind
EARNINGS = "/api/v1/payments/creator/earnings"
REVENUE = "/api/v1/payments/admin/revenue"
BALANCE = "/api/v1/payments/admin/ledger/trial-balance"


@pytest.fixture
def at(monkeypatch):
    """Return a function that sets the current time, and with it the time of later captures."""

    def move(moment: datetime) -> None:
        monkeypatch.setattr("payments.services.settling.facts.timezone.now", lambda: moment)

    yield move
    monkeypatch.undo()


@pytest.fixture
def history(make_video, make_user, creator, admin, buy, subscribe, at):
    """Three days: sales of three of the creator's videos and one of another creator, two refunds, and a
    subscription."""
    videos = [make_video(creator=creator, price=1999), make_video(creator=creator, price=500)]
    stranger = make_video(price=3000)
    euros = make_video(creator=creator, price=1000, currency="EUR")
    days = [datetime(2031, 5, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    at(days[0])
    first = buy(make_user(), videos[0])
    buy(make_user(), videos[1])
    at(days[1])
    second = buy(make_user(), videos[0])
    buy(make_user(), stranger)
    buy(make_user(), euros)
    at(days[2])
    refunds.refund_order(order_id=first.pk, amount=500, reason="", actor=admin)
    refunds.refund_order(order_id=second.pk, amount=None, reason="", actor=admin)
    subscribe(make_user())
    return {"videos": videos, "stranger": stranger, "euros": euros}


def amounts(row, *names):
    return tuple(row[name] for name in names)


def test_two_columns_of_a_row_cannot_have_one_source():
    @dataclass(frozen=True, slots=True)
    class Row:
        currency: str
        disputes: int = amount("Disputes", kinds=(Kind.DISPUTE, Kind.DISPUTE_REINSTATED))
        chargebacks: int = amount("Chargebacks", kinds=(Kind.DISPUTE,))

    with pytest.raises(ValueError, match="two columns have the source"):
        columns(Row)


def test_a_creator_sees_what_their_videos_earned(client_for, creator, history):
    data = client_for(creator).get(EARNINGS).data
    assert data["creator_id"] == creator.pk
    euros, dollars = data["totals"]
    assert euros == {
        "currency": "EUR",
        "sales": 1,
        "gross": "10.00",
        "refunds": "0.00",
        "disputes": "0.00",
        "net": "10.00",
        "earnings": "8.00",
    }
    assert dollars == {
        "currency": "USD",
        "sales": 3,
        "gross": "44.98",
        "refunds": "24.99",
        "disputes": "0.00",
        "net": "19.99",
        "earnings": "16.00",  # 12.00 of the first, 4.00 of the second video
    }


def test_earnings_by_day(client_for, creator, history):
    data = client_for(creator).get(EARNINGS, {"group_by": "day", "currency": "USD"}).json()
    assert [(row["bucket"], row["earnings"]) for row in data["series"]] == [
        ("2031-05-01T00:00:00Z", "20.00"),
        ("2031-05-02T00:00:00Z", "16.00"),
        ("2031-05-03T00:00:00Z", "-20.00"),
    ]
    assert {row["currency"] for row in data["totals"]} == {"USD"}


def test_earnings_by_video(client_for, creator, history):
    data = client_for(creator).get(EARNINGS, {"group_by": "video"}).data
    earnings = {row["bucket"]: amounts(row, "currency", "earnings") for row in data["series"]}
    assert earnings == {
        history["videos"][0].pk: ("USD", "12.00"),
        history["videos"][1].pk: ("USD", "4.00"),
        history["euros"].pk: ("EUR", "8.00"),
    }


def test_earnings_by_source(client_for, creator, history):
    data = client_for(creator).get(EARNINGS, {"group_by": "source"}).data
    earnings = {amounts(row, "bucket", "currency"): row["earnings"] for row in data["series"]}
    assert earnings == {("sales", "EUR"): "8.00", ("sales", "USD"): "16.00"}


def test_earnings_of_a_period(client_for, creator, history):
    period = {"from": "2031-05-02T12:00:00Z", "to": "2031-05-03T12:00:00Z", "currency": "USD"}
    (row,) = client_for(creator).get(EARNINGS, period).data["totals"]
    assert amounts(row, "sales", "gross", "refunds", "earnings") == (1, "19.99", "0.00", "16.00")


def test_earnings_are_shown_to_their_creator_and_administrators(
    client_for, viewer, admin, make_user, creator, history
):
    other = make_user(Role.CREATOR)
    assert client_for(other).get(EARNINGS).data["totals"] == []
    refused = client_for(other).get(EARNINGS, {"creator": creator.pk})
    assert (refused.status_code, "totals" in refused.data) == (403, False)
    assert client_for(viewer).get(EARNINGS).status_code == 403
    assert client_for().get(EARNINGS).status_code == 401
    seen = client_for(admin).get(EARNINGS, {"creator": creator.pk, "currency": "EUR"})
    assert seen.data["totals"][0]["earnings"] == "8.00"


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2031-05-02T00:00:00Z", "to": "2031-05-01T00:00:00Z"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"currency": "XXX"},
        {"group_by": "weather"},
        {"creator": "me"},
    ],
)
def test_an_invalid_query_is_refused(client_for, creator, query):
    assert client_for(creator).get(EARNINGS, query).status_code == 400


def test_revenue_of_the_platform(client_for, admin, make_user, history):
    Plan.objects.create(code="yearly", name="Y", amount=12_060, currency="USD", interval="year")
    body = {"plan": "yearly", "payment_method": VISA}
    client_for(make_user()).post("/api/v1/payments/subscribe", body)

    euros, dollars = client_for(admin).get(REVENUE).data["totals"]

    assert euros["currency"] == "EUR"
    assert dollars == {
        "currency": "USD",
        "sales": 4,
        "gross": "205.57",  # videos 74.98, subscriptions 9.99 + 120.60
        "refunds": "24.99",
        "net": "180.58",
        "disputes": "0.00",
        "creator_share": "40.00",
        "platform_share": "9.99",
        "fees": "0.00",
        "losses": "0.00",
        "deferred": "130.59",
        "pool": "0.00",
        "owed_back": "0.00",
        "promotions": "0.00",
        "suspense": "0.00",
        "mrr": "20.04",
        "active_subscriptions": 2,
        "churned_subscriptions": 0,
    }


@pytest.mark.promise("revenue-identity")
@pytest.mark.parametrize("day", [1, 2, 3, 4])
def test_the_revenue_identity_holds_for_every_day(client_for, admin, history, day):
    period = {
        "from": f"2031-05-0{day}T00:00:00Z",
        "to": f"2031-05-0{day}T23:59:59Z",
        "currency": "USD",
    }
    (row,) = client_for(admin).get(REVENUE, period).data["totals"]
    cents = {name: round(float(row[name]) * 100) for name in row if name not in {"currency"}}
    assert cents["gross"] - cents["refunds"] - cents["disputes"] == (
        cents["creator_share"]
        + cents["platform_share"]
        - cents["losses"]
        + cents["deferred"]
        + cents["suspense"]
    )
    assert cents["gross"] == {1: 2499, 2: 4999, 3: 999, 4: 0}[day]


def test_a_refund_over_midnight_is_booked_and_counted_on_one_day(
    client_for, admin, viewer, make_video, buy, at
):
    at(datetime(2031, 5, 1, 12, tzinfo=UTC))
    order = buy(viewer, make_video(price=1999))
    at(datetime(2031, 5, 2, 0, 0, 1, tzinfo=UTC))
    refunds.refund_order(order_id=order.pk, amount=500, reason="", actor=admin)
    Refund.objects.update(created_at=datetime(2031, 5, 1, 23, 59, 59, tzinfo=UTC))
    days = [
        {"from": f"2031-05-0{day}T00:00:00Z", "to": f"2031-05-0{day + 1}T00:00:00Z"}
        for day in (1, 2)
    ]
    rows = [client_for(admin).get(REVENUE, day).data["totals"][0] for day in days]
    assert [amounts(r, "gross", "refunds", "creator_share", "platform_share") for r in rows] == [
        ("19.99", "0.00", "16.00", "3.99"),
        ("0.00", "5.00", "-4.00", "-1.00"),
    ]


def test_only_administrators_see_the_books(client_for, viewer, creator):
    for url in (REVENUE, BALANCE):
        assert client_for().get(url).status_code == 401
        for user in (viewer, creator):
            answer = client_for(user).get(url)
            assert (answer.status_code, answer.data["errors"][0]["code"]) == (
                403,
                "permission_denied",
            )


def test_the_trial_balance_is_zero(client_for, admin, history):
    data = client_for(admin).get(BALANCE).data
    assert [(row["currency"], row["balance"]) for row in data["totals"]] == [
        ("EUR", "0.00"),
        ("USD", "0.00"),
    ]
    accounts = {row["code"]: row["balance"] for row in data["accounts"]}
    assert accounts["clearing:sandbox:USD"] == "59.98"
    assert accounts["platform:USD"] == "-9.99"
    assert accounts["deferred:USD"] == "-9.99"


@pytest.mark.parametrize("sales", [1, 12])
def test_reports_cost_the_same_queries_for_any_number_of_sales(
    client_for, admin, creator, make_user, make_video, buy, settings, sales
):
    settings.AUDIT_READS = False
    for number in range(sales):
        buy(make_user(), make_video(creator=creator, price=100 + number))
    clients = client_for(creator), client_for(admin)
    for client in clients:
        client.get(EARNINGS)
    with statements(exactly=5):  # the user, sales, their number, earned, series
        clients[0].get(EARNINGS, {"group_by": "video"})
    with statements(exactly=4):  # the user, books, sales, subscribers
        clients[1].get(REVENUE)
    with statements(exactly=4):  # the user, accounts, debits, credits
        clients[1].get(BALANCE)


@pytest.mark.parametrize("orders", [1, 12])
def test_a_list_of_orders_costs_two_queries(client_for, viewer, make_video, buy, settings, orders):
    settings.AUDIT_READS = False
    for _ in range(orders):
        buy(viewer, make_video(price=100))
    client = client_for(viewer)
    client.get("/api/v1/payments/orders")
    for path in ("orders", "entitlements"):
        with statements(exactly=2):  # the user, the page
            answer = client.get(f"/api/v1/payments/{path}")
        assert len(answer.data["results"]) == orders


def test_a_sync_keeps_the_date_of_a_known_capture(viewer, make_video, buy):
    payment = buy(viewer, make_video(price=1999)).payments.get()
    earlier = payment.captured_at - timedelta(days=3)
    Payment.objects.update(captured_at=earlier)
    sync_payment(gateway="sandbox", external_id=payment.external_id)
    payment.refresh_from_db()
    assert payment.captured_at == earlier
    paid_at = Order.objects.get().paid_at
    assert paid_at
    assert paid_at < timezone.now()
