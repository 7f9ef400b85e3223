"""One definition a figure: all reports say the same about the same facts (`docs/glossary.md`)."""

import csv
import io
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from accounts.models import User
from accounts.roles import Role
from analytics.models import Reaction
from config.tests import cases
from payments.books import verification
from payments.gateways.sandbox import charging
from payments.models import Coupon, Order, Payment, Statement
from payments.periods import Month
from payments.services.gateway_news import followups
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools
from payments.tests.kit import VISA

pytestmark = pytest.mark.django_db

PAYMENTS = "/api/v1/payments"
EARNINGS, REVENUE = f"{PAYMENTS}/creator/earnings", f"{PAYMENTS}/admin/revenue"
CREATOR, ADMIN = "/api/v1/analytics/creator", "/api/v1/analytics/admin"
MONTH = Month(2026, 8)
# Before, within and after the month, and both sides of each of its ends.
MOMENTS = [
    datetime(2026, 7, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 8, 1, tzinfo=UTC),
    *(datetime(2026, 8, day, 12, tzinfo=UTC) for day in (1, 9, 10, 20)),
    datetime(2026, 8, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 9, 1, tzinfo=UTC),
]
PERIODS = {
    "the month": (MONTH.start, MONTH.end),
    "a part of it": (datetime(2026, 8, 1, 12, tzinfo=UTC), datetime(2026, 8, 10, 12, tzinfo=UTC)),
    "everything": (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)),
}
MONEY = ("gross", "refunds", "disputes", "creator_share", "platform_share", "promotions", "losses")


@dataclass
class World:
    """Random sales of two creators, in two currencies, with all that can happen to them."""

    client_for: Callable
    admin: User
    make_user: Callable
    videos: list
    dice: random.Random
    orders: list = field(default_factory=list)

    def post(self, user, path: str, **body):
        answer = self.client_for(user).post(f"{PAYMENTS}/{path}", body)
        assert answer.status_code < 300, (path, answer.data)
        return answer.data

    def buy(self) -> None:
        video, kind = self.dice.choice(self.videos), self.dice.choice(["buy", "buy", "rent"])
        coupon = self.dice.choice(["", "", "", *Coupon.objects.values_list("code", flat=True)])
        if coupon and Coupon.objects.get(code=coupon).creator_id not in {None, video.creator_id}:
            coupon = ""
        body = {"payment_method": VISA, "kind": kind, "coupon": coupon}
        bought = self.post(self.make_user(), f"purchase/{video.pk}", **body)
        self.orders.append(Order.objects.get(pk=bought["order"]["id"]))

    def paid(self) -> Order | None:
        """Return an order whose money is here."""
        fit = Order.objects.filter(status="paid", amount__gt=100).order_by("pk")
        return self.dice.choice(fit) if fit else None

    def pay_twice(self) -> None:
        if order := self.paid():
            again = charging.charge(
                amount=order.amount, currency=order.currency, payment_method=VISA,
                reference=str(order.pk), key=f"twice {self.dice.random()}",
            )  # fmt: skip
            sync_payment(gateway="sandbox", external_id=again.pk)
            assert followups.run() == 1

    def refund(self) -> None:
        if order := self.paid():
            body = {} if self.dice.random() < 0.4 else {"amount": "1"}
            self.post(self.admin, f"admin/orders/{order.pk}/refund", **body)

    def take_back(self) -> None:
        if free := Order.objects.filter(status="paid", amount=0).first():
            self.post(self.admin, f"admin/orders/{free.pk}/refund")

    def bank(self, order: Order, step: str, **body: str) -> None:
        """Act as the buyer's bank. The facts are taken over at once: no webhook event has to come."""
        self.post(self.admin, f"sandbox/payments/{order.pk}/{step}", **body)
        for payment in order.payments.all():
            sync_payment(gateway="sandbox", external_id=payment.external_id)

    def dispute(self) -> None:
        if order := self.paid():
            self.bank(order, "dispute")
            choice = self.dice.choice([{"amount": "0"}, {"amount": "1"}, {}, None])
            if choice is not None:
                self.bank(order, "reinstate", **choice)

    def dispute_what_was_refunded(self) -> None:
        """The money goes back twice: the platform loses it."""
        if order := Order.objects.filter(status="refunded", amount__gt=0).first():
            self.bank(order, "dispute")

    def all_at_once(self) -> None:
        """Learn of a refund and a dispute in one answer of the gateway."""
        if order := self.paid():
            payment = Payment.objects.get(order=order, disposition="applied")
            charging.refund(payment_id=payment.external_id, amount=50, key=f"{self.dice.random()}")
            charging.open_dispute(payment.external_id, amount=order.amount - 60)
            sync_payment(gateway="sandbox", external_id=payment.external_id)

    def subscribe(self) -> None:
        self.post(self.make_user(), "subscribe", plan="monthly", payment_method=VISA)

    def react(self) -> None:
        video, value = self.dice.choice(self.videos), self.dice.choice(["like", "dislike"])
        self.client_for(self.make_user(Role.ADMIN)).put(
            f"/api/v1/videos/{video.pk}/reaction", {"value": value}
        )

    def live(self, moments: list[datetime]) -> None:
        steps = [
            self.buy, self.buy, self.buy, self.pay_twice, self.refund, self.take_back, self.dispute,
            self.dispute_what_was_refunded, self.all_at_once, self.subscribe, self.react,
        ]  # fmt: skip
        for moment in moments:
            with time_machine.travel(moment, tick=False):
                for _ in range(2):
                    self.buy()
                for step in self.dice.sample(steps, 6):
                    step()


@pytest.fixture
def world(request, client_for, admin, make_user, make_video, creator, subscribe):
    subscribe(make_user())  # today, far outside of the periods
    creators = creator, make_user(Role.CREATOR)
    videos = [
        make_video(creator=owner, price=1999, rental_price=399, rental_hours=48, currency=currency)
        for owner in creators
        for currency in ("USD", "EUR")
    ]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for code, options in {
        "HALF": {"percent_bps": 5000},
        "FREE": {"percent_bps": 10_000},
        "GIVEN": {"percent_bps": 10_000, "funded_by": "creator", "creator": creator},
        "CHEAP": {"percent_bps": 3333, "funded_by": "creator", "creator": creator},
    }.items():
        Coupon.objects.create(code=code, starts_at=begin, **options)
    made = World(client_for, admin, make_user, videos, random.Random(request.param))  # noqa: S311 - repeatable
    made.live(MOMENTS)
    for month in (Month(2026, 7), MONTH):
        with time_machine.travel(month.next().start + timedelta(days=3), tick=False):
            pools.close_month(month)
    return made


def by_currency(rows: list[dict], *names: str) -> dict[str, dict[str, Decimal]]:
    """Return rows of a report as amounts by currency and name, without currencies of zeros only."""
    amounts = {row["currency"]: {name: Decimal(row[name]) for name in names} for row in rows}
    return {currency: row for currency, row in amounts.items() if any(row.values())}


def of_totals(totals: dict, *names: str) -> dict[str, dict[str, Decimal]]:
    """Return the amounts of an analytics report in the form of `by_currency`."""
    amounts: dict[str, dict[str, Decimal]] = {}
    for name in names:
        for row in totals[name]:
            amounts.setdefault(row["currency"], dict.fromkeys(names, Decimal(0)))
            amounts[row["currency"]][name] = Decimal(row["amount"])
    return {currency: row for currency, row in amounts.items() if any(row.values())}


def added(*reports: dict[str, dict[str, Decimal]]) -> dict[str, Counter]:
    total: dict[str, Counter] = {}
    for report in reports:
        for currency, row in report.items():
            total.setdefault(currency, Counter()).update(row)
    return {currency: row for currency, row in total.items() if any(row.values())}


def assert_identity(totals: dict) -> None:
    for row in of_totals(totals, *MONEY, "waiting").values():
        assert row["gross"] - row["refunds"] - row["disputes"] == (
            row["creator_share"] + row["platform_share"] - row["promotions"] - row["losses"]
            + row["waiting"]
        ), row  # fmt: skip


@pytest.mark.parametrize("world", cases.seeds(1, 3), indirect=True)
def test_all_reports_say_the_same(world, client_for, admin, client):
    office, creators = client_for(admin), {video.creator for video in world.videos}
    for start, end in PERIODS.values():
        query = {"from": start.isoformat(), "to": end.isoformat()}
        revenue = office.get(REVENUE, {**query, "group_by": "day"}).json()
        platform = office.get(ADMIN, query).json()
        earnings = {
            owner: client_for(owner).get(EARNINGS, {**query, "group_by": "video"}).json()
            for owner in creators
        }
        dashboards = {owner: client_for(owner).get(CREATOR, query).json() for owner in creators}
        of_video = {
            video.pk: office.get(f"/api/v1/analytics/videos/{video.pk}", query).json()
            for video in world.videos
        }
        reports = [platform, *dashboards.values(), *of_video.values()]
        for report in reports:
            assert_identity(report["totals"])

        # Sales
        sold = Order.objects.filter(paid_at__gte=start, paid_at__lt=end).exclude(
            coupon__code="GIVEN"
        )
        sales = Counter(sold.values_list("currency", flat=True))
        assert {row["currency"]: row["sales"] for row in revenue["totals"] if row["sales"]} == sales
        of_creators: Counter = Counter()
        for owner, report in earnings.items():
            own = {row["currency"]: row["sales"] for row in report["totals"]}
            of_creators.update(own)
            assert sum(own.values()) == dashboards[owner]["totals"]["purchases"]
        assert +of_creators == sales
        assert platform["totals"]["purchases"] == sales.total()
        for report in (platform, *dashboards.values()):
            listed = sum(row["purchases"] for row in report["videos"])
            assert listed == report["totals"]["purchases"]
        assert sum(row["totals"]["purchases"] for row in of_video.values()) == sales.total()

        # Money: of the platform, of creators, of videos
        came_in = ("gross", "refunds", "disputes")
        assert of_totals(platform["totals"], *came_in) == by_currency(revenue["totals"], *came_in)
        shares = ("creator_share", "platform_share")
        lines = by_currency(platform["revenue"], *came_in, *shares)
        assert lines == by_currency(revenue["totals"], *came_in, *shares)
        assert lines == of_totals(platform["totals"], *came_in, *shares)
        days = [by_currency([row], *came_in, *shares) for row in revenue["series"]]
        assert added(*days) == added(lines)
        for owner, report in earnings.items():
            own = of_totals(dashboards[owner]["totals"], *came_in)
            assert own == by_currency(report["totals"], *came_in)
            of_own = [of_video[video.pk] for video in world.videos if video.creator_id == owner.pk]
            assert added(own) == added(*(of_totals(v["totals"], *came_in) for v in of_own))
            assert by_currency(report["totals"], "earnings") == of_totals(
                dashboards[owner]["totals"], "earnings"
            )
            by_video = added(*(by_currency([row], "earnings") for row in report["series"]))
            assert by_video == added(by_currency(report["totals"], "earnings"))
        subscribed = Payment.objects.filter(
            invoice__isnull=False, captured_at__gte=start, captured_at__lt=end
        )
        of_plans = {"USD": {"gross": Decimal(sum(p.captured for p in subscribed)) / 100}}
        of_sales = [of_totals(row["totals"], "gross") for row in dashboards.values()]
        assert added(*of_sales, of_plans) == added(by_currency(revenue["totals"], "gross"))

        # Money by source and by video
        for report in (platform, *dashboards.values()):
            by_source = added(
                *(
                    {row["currency"]: {"earnings": Decimal(row["amount"])}}
                    for row in report["earnings_by_source"]
                )
            )
            assert by_source == added(of_totals(report["totals"], "earnings"))
            assert {row["source"] for row in report["earnings_by_source"]} <= {
                "sales", "subscriptions",
            }  # fmt: skip
            of_rows = {
                row["id"]: by_currency(row["revenue"], *came_in, *shares)
                for row in report["videos"]
            }
            for video in world.videos:
                if str(video.pk) in of_rows:
                    own = of_totals(of_video[video.pk]["totals"], *came_in, *shares)
                    assert of_rows[str(video.pk)] == own
        for report in dashboards.values():
            listed = (by_currency(row["revenue"], *came_in) for row in report["videos"])
            assert added(*listed) == added(of_totals(report["totals"], *came_in))

        # Likes
        reactions = Reaction.objects.filter(at__gte=start, at__lt=end)
        for report in (platform, *dashboards.values()):
            for name in ("likes", "dislikes"):
                assert sum(row[name] for row in report["videos"]) == report["totals"][name]
        assert platform["totals"]["likes"] == reactions.filter(value="like").count()
        assert platform["totals"]["dislikes"] == reactions.filter(value="dislike").count()
    assert verification.verify_ledger().discrepancies == 0


@pytest.mark.parametrize("world", [3], indirect=True)
def test_statements_receipts_and_pages_say_the_same(world, client_for, admin, client):
    office = client_for(admin)
    query = {"from": MONTH.start.isoformat(), "to": MONTH.end.isoformat()}
    for statement in Statement.objects.filter(period=str(MONTH)):
        body = json.loads(statement.body)
        (row,) = office.get(
            EARNINGS, {**query, "creator": statement.creator_id, "currency": statement.currency}
        ).json()["totals"]
        lines = body["sales"]
        assert sum(line["count"] for line in lines) == row["sales"]
        gross, returned, share = (
            sum((Decimal(line[name]) for line in lines), Decimal(0))
            for name in ("gross", "returned", "share")
        )
        assert gross == Decimal(row["gross"])
        assert returned == Decimal(row["refunds"]) + Decimal(row["disputes"])
        assert share == Decimal(row["earnings"])
        text = (
            client_for(statement.creator)
            .get(f"{PAYMENTS}/creator/statements/{MONTH}.csv")
            .content.decode()
        )
        rows = [
            line for line in csv.DictReader(io.StringIO(text))
            if (line["currency"], line["line"]) == (statement.currency, "sales")
        ]  # fmt: skip
        assert sum(int(line["count"]) for line in rows) == row["sales"]
        assert sum((Decimal(line["gross"]) for line in rows), Decimal(0)) == gross
    assert [*pools.verify_month(MONTH)] == []

    everything = {"from": "2026-07-01T00:00:00Z", "to": "2026-10-01T00:00:00Z"}
    received: dict[str, Decimal] = defaultdict(Decimal)
    refunded: dict[str, Decimal] = defaultdict(Decimal)
    for order in world.orders:
        receipt = client_for(order.buyer).get(f"{PAYMENTS}/orders/{order.pk}/receipt").json()
        received[order.currency] += Decimal(receipt["amount"])
        refunded[order.currency] += Decimal(receipt["refunded"])
    reports = [
        office.get(EARNINGS, {**everything, "creator": owner.pk}).json()["totals"]
        for owner in {video.creator for video in world.videos}
    ]
    totals = added(*(by_currency(rows, "gross", "refunds") for rows in reports))
    for currency, row in totals.items():
        assert (row["gross"], row["refunds"]) == (received[currency], refunded[currency])

    with time_machine.travel(datetime(2026, 9, 2, tzinfo=UTC), tick=False):
        client.force_login(admin)
        page = client.get("/admin/payments/journalentry/revenue/?days=90")
    period = {"from": "2026-06-05T00:00:00Z", "to": "2026-09-03T00:00:00Z"}
    revenue = office.get(REVENUE, period).json()["totals"]
    shown = dict(page.context["rows"])
    assert shown["Gross"] == [row["gross"] for row in revenue]
    assert shown["Videos sold"] == [row["sales"] for row in revenue]
    assert shown["Refunds"] == [row["refunds"] for row in revenue]


def test_a_sale_that_was_paid_twice_is_one_sale(
    buy, viewer, make_video, creator, client_for, admin
):
    order = buy(viewer, make_video(creator=creator, price=1999))
    again = charging.charge(
        amount=1999, currency="USD", payment_method=VISA, reference=str(order.pk), key="twice"
    )
    sync_payment(gateway="sandbox", external_id=again.pk)

    def figures() -> set[tuple]:
        totals = [
            client_for(creator).get(EARNINGS).json()["totals"][0],
            client_for(admin).get(REVENUE).json()["totals"][0],
        ]
        dashboards = [
            client_for(creator).get(CREATOR).json()["totals"],
            client_for(admin).get(ADMIN).json()["totals"],
        ]
        return {(row["sales"], row["gross"], row["refunds"]) for row in totals} | {
            (row["purchases"], row["gross"][0]["amount"], row["refunds"][0]["amount"])
            for row in dashboards
        }

    # Until the second payment has gone back, its money waits at the platform.
    assert figures() == {(1, "19.99", "0.00"), (1, "39.98", "0.00")}
    assert client_for(admin).get(ADMIN).json()["totals"]["waiting"][0]["amount"] == "19.99"
    followups.run()
    assert figures() == {(1, "19.99", "0.00")}
