"""Statements: a creator's closed month, computed from the ledger."""

import json
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F

from config import append_only
from payments.ledger import protection
from payments.models import Coupon, Order, Pool, Statement, Transfer
from payments.periods import Month
from payments.services.buying import checkout
from payments.services.payouts import payouts, statements
from payments.services.settling import refunds
from payments.services.sharing import pools
from payments.tests.corruptions import settle_constraints
from payments.tests.kit import VISA
from payments.tests.months import AUGUST, SEPTEMBER, at, close, watch

pytestmark = pytest.mark.django_db


def of(creator, month: Month, currency: str = "USD") -> dict:
    row = Statement.objects.get(creator=creator, period=str(month), currency=currency)
    assert row.sha256 == statements.sha256(row.body)
    return json.loads(row.body)


def lines(statement: dict) -> list[Decimal]:
    """Return the amounts that lead from the opening balance to the closing balance."""
    amounts = [sale["share"] for sale in statement["sales"]]
    amounts += [line["amount"] for line in statement["adjustments"] + statement["payouts"]]
    amounts += [statement["pool"]["share"]] if statement["pool"] else []
    return [Decimal(amount) for amount in amounts]


def assert_adds_up(statement: dict) -> None:
    assert Decimal(statement["opening"]) + sum(lines(statement)) == Decimal(statement["closing"])


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999)


@pytest.fixture
def story(video, creator, make_user, make_video, buy, subscribe, admin):
    """August has two sales and a subscriber; September has a partial refund and a payout."""
    with at("2026-08-01 00:00"):
        watcher = make_user()
        subscribe(watcher)
    watch(watcher, video, "2026-08-02", 90)
    watch(watcher, make_video(), "2026-08-02", 30)
    with at("2026-08-10 00:00"):
        orders = [buy(make_user(), video), buy(make_user(), video)]
    close(AUGUST)
    with at("2026-09-20 00:00"):
        (payout,) = payouts.request(creator)
        refunds.refund_order(order_id=orders[0].pk, amount=500, reason="", actor=admin)
    close(SEPTEMBER)
    return payout


@pytest.mark.promise("statement-reproducible")
def test_a_statement_lists_the_whole_month(story, video, creator):
    """A statement lists opening, sales by video, pool share, payouts and closing, and adds up."""
    pool = Pool.objects.get(period="2026-08")
    assert of(creator, AUGUST) == {
        "creator": str(creator.pk),
        "currency": "USD",
        "period": "2026-08",
        "opening": "0.00",
        "sales": [
            {
                "video": str(video.pk),
                "count": 2,
                "gross": "39.98",
                "returned": "0.00",
                "share": "32.00",
            }
        ],
        "pool": {
            "amount": "8.00",
            "total_seconds": 120,
            "own_seconds": 90,
            "share": "6.00",
            "algorithm": "prorata-v1",
            "input_sha256": pool.input_sha256,
        },
        "adjustments": [],
        "payouts": [],
        "closing": "38.00",
    }
    september = of(creator, SEPTEMBER)
    assert september["opening"] == "38.00"
    assert september["sales"] == [
        {"video": str(video.pk), "count": 0, "gross": "0.00", "returned": "5.00", "share": "-4.00"}
    ]
    assert september["pool"] is None
    assert september["payouts"] == [{"payout": str(story.pk), "amount": "-38.00"}]
    assert september["closing"] == "-4.00"
    for month in (AUGUST, SEPTEMBER):
        assert_adds_up(of(creator, month))


@pytest.mark.promise("statement-reproducible")
def test_a_statement_computes_to_the_same_bytes(story, video, make_user, buy, creator):
    """A closed month computes to the same bytes again, and later sales do not change its statements."""
    before = dict(Statement.objects.values_list("pk", "body"))
    with at("2026-10-05 00:00"):
        buy(make_user(), video)
        payouts_made = payouts.run()
    assert payouts_made == []  # the creator owes
    assert pools.verify_month(AUGUST) == pools.verify_month(SEPTEMBER) == []
    assert dict(Statement.objects.values_list("pk", "body")) == before
    bodies = statements.compute(AUGUST, "USD")
    assert bodies[str(creator.pk)] == json.dumps(
        of(creator, AUGUST), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )


@pytest.mark.promise("statement-reproducible")
def test_an_old_transfer_that_was_changed_is_found_in_its_month_and_in_each_later_one(
    story, creator
):
    """Opening balances are added up from the transfers: a later month shows what an older one lost."""
    settle_constraints()
    for table in protection.TABLES:
        append_only.release(connection.alias, table)
    sold = Transfer.objects.filter(entry__kind="capture", credit__owner=creator)
    sold.filter(pk=sold.earliest("pk").pk).update(amount=F("amount") + 1)
    for month in (AUGUST, SEPTEMBER):
        expected = f"the statement {month} USD of creator {creator.pk} differs from the ledger"
        assert pools.verify_month(month) == [expected]


@pytest.mark.promise("statement-reproducible")
def test_statements_that_are_lost_changed_or_too_many_are_named(story, make_user, creator):
    """Each is named once, whichever id comes first: a hash that does not fit, a statement that is lost,
    and one of somebody who earned nothing."""
    of_august = Statement.objects.filter(period="2026-08")
    other = of_august.exclude(creator=creator).get()
    too_many = Statement.objects.create(
        creator=make_user(), period="2026-08", currency="USD", body="{}",
        sha256=statements.sha256("{}"),
    )  # fmt: skip
    of_august.filter(creator=creator).delete()
    of_august.filter(pk=other.pk).update(body=other.body + " ")
    of_creator = "the statement 2026-08 USD of creator"
    assert sorted(pools.verify_month(AUGUST)) == sorted(
        [
            f"{of_creator} {other.creator_id} does not match its hash",
            f"{of_creator} {too_many.creator_id} differs from the ledger",
            f"{of_creator} {creator.pk} is missing",
        ]
    )


def test_a_creator_without_money_or_viewers_has_no_statement(story, make_user, creator):
    make_user()
    assert Statement.objects.filter(period="2026-08").count() == 2
    assert list(Statement.objects.filter(period="2026-09").values_list("creator", flat=True)) == [
        creator.pk
    ]


@pytest.mark.promise("platform-coupon-costs-the-platform")
def test_sales_with_a_platform_coupon_show_who_paid(video, creator, make_user):
    """Coupons that the platform funds leave the creator the share of the list price: the statement
    shows what buyers paid, and what the platform paid."""
    with at("2026-08-10 00:00"):
        for code, percent_bps in (("HALF", 5000), ("FREE", 10_000)):
            Coupon.objects.create(code=code, percent_bps=percent_bps, funded_by="platform")
            checkout.purchase(
                buyer=make_user(),
                video_id=video.pk,
                options=checkout.PurchaseOptions(coupon=code),
                payment_method=VISA,
            )
    assert set(Order.objects.values_list("status", flat=True)) == {"paid"}
    close(AUGUST)
    statement = of(creator, AUGUST)
    (sale,) = statement["sales"]
    assert (sale["count"], sale["gross"], sale["share"]) == (2, "10.00", "32.00")
    assert sale["promotions"] == "29.98"
    assert_adds_up(statement)
    shown = statements.as_csv(Statement.objects.get(creator=creator, period="2026-08"))
    assert f"promotions,{video.pk},,29.98,," in shown.splitlines()


def test_a_statement_of_an_older_release_still_verifies(video, creator, make_user, buy):
    """It counted the platform's discounts to the gross, and had no field for them."""
    test_sales_with_a_platform_coupon_show_who_paid(video, creator, make_user)
    older = statements.compute(AUGUST, "USD", is_older=True)[str(creator.pk)]
    (sale,) = json.loads(older)["sales"]
    assert sale == {
        "video": str(video.pk), "count": 2, "gross": "39.98", "returned": "0.00", "share": "32.00",
    }  # fmt: skip
    Statement.objects.update(body=older, sha256=statements.sha256(older))
    assert pools.verify_month(AUGUST) == []
    wrong = older.replace("39.98", "39.99")
    Statement.objects.update(body=wrong, sha256=statements.sha256(wrong))
    assert len(pools.verify_month(AUGUST)) == 1


def test_a_failed_payout_is_in_the_statement(story, creator, admin):
    with at("2026-10-01 00:00"):
        payouts.approve(payout_id=story.pk, actor=admin)
        payouts.mark_failed(payout_id=story.pk, reason="no such account", actor=admin)
    with at("2026-11-03 00:00"):
        pools.close_month(Month(2026, 10))
    october = of(creator, Month(2026, 10))
    assert (october["opening"], october["closing"]) == ("-4.00", "34.00")
    assert october["payouts"] == [{"payout": str(story.pk), "amount": "38.00"}]


def test_a_debt_that_is_written_off_is_an_adjustment(story, creator, admin):
    with at("2026-10-01 00:00"):
        payouts.write_off(creator_id=creator.pk, currency="USD", actor=admin)
    with at("2026-11-03 00:00"):
        pools.close_month(Month(2026, 10))
    october = of(creator, Month(2026, 10))
    assert october["adjustments"] == [{"kind": "write_off", "amount": "4.00"}]
    assert october["closing"] == "0.00"
    assert_adds_up(october)


def test_a_statement_can_be_read_as_csv(story, video, creator):
    row = Statement.objects.get(creator=creator, period="2026-08")
    assert statements.as_csv(row).splitlines() == [
        "line,about,count,gross,returned,amount",
        "opening,2026-08,,,,0.00",
        f"sales,{video.pk},2,39.98,0.00,32.00",
        "pool,90 of 120 seconds,,8.00,,6.00",
        "closing,2026-08,,,,38.00",
    ]
    later = Statement.objects.get(creator=creator, period="2026-09")
    assert statements.as_csv(later).splitlines()[-2:] == [
        f"payout,{story.pk},,,,-38.00",
        "closing,2026-09,,,,-4.00",
    ]


@pytest.mark.promise("currency-digits")
def test_a_statement_has_the_decimals_of_its_currency(make_video, creator, make_user, buy):
    """A statement in yen has no decimals: 100 yen sold give 80 to the creator."""
    video = make_video(creator=creator, price=100, currency="JPY")
    with at("2026-08-10 00:00"):
        buy(make_user(), video)
    close(AUGUST)
    statement = of(creator, AUGUST, "JPY")
    assert (statement["sales"][0]["gross"], statement["closing"]) == ("100", "80")
