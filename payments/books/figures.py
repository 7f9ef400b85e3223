"""The platform's money over a time, as the revenue overview shows it. Read side, minor units."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, Q, Sum

from payments.books import reports
from payments.models import Payout

SERIES = ("gross", "refunds", "disputes", "creator_share", "platform_share")


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    gross: int = 0
    refunds: int = 0
    disputes: int = 0
    creator_share: int = 0
    platform_share: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """``gross - refunds - disputes`` is what became of it; both sides, and their terms by name."""

    left: int
    right: int
    became: dict[str, int]

    @property
    def holds(self) -> bool:
        return self.left == self.right


def last_days(number: int, today: date) -> reports.Period:
    """So many whole days (UTC), today the last of them."""
    first = today - timedelta(days=number - 1)
    return reports.Period(
        datetime.combine(first, time(), UTC),
        datetime.combine(today + timedelta(days=1), time(), UTC),
    )


def by_day(period: reports.Period) -> dict[str, list[Day]]:
    """By currency, every day of a period with two ends, also those on which nothing happened."""
    length = (period.end - period.start).days
    days = [period.start.date() + timedelta(days=number) for number in range(length)]
    found: dict[str, dict[date, Day]] = {}
    for row in reports.series(period):
        numbers = {name: row[name] for name in SERIES}
        found.setdefault(row["currency"], {})[row["day"].date()] = Day(row["day"].date(), **numbers)
    return {
        currency: [booked.get(day, Day(day)) for day in days]
        for currency, booked in sorted(found.items())
    }


def identity(row: dict) -> Identity:
    """What a row of `reports.platform_totals` promises."""
    became = {
        "creators": row["creator_share"],
        "platform": row["platform_share"],
        "deferred": row["deferred"],
        "pool": row["pool"],
        "owed back": row["owed_back"],
        "suspense": row["suspense"],
        "losses": -row["losses"],
        "promotions": -row["promotions"],
    }
    left = row["gross"] - row["refunds"] - row["disputes"]
    return Identity(left, sum(became.values()), became)


def payouts(period: reports.Period) -> dict[str, dict[str, int]]:
    """By currency: what was paid out in that time, and what is on its way now."""
    paid = Q(status=Payout.Status.PAID) & period.of("settled_at")
    under_way = Q(status__in=Payout.IN_FLIGHT)
    rows = (
        Payout.objects.filter(paid | under_way)
        .values_list("currency")
        .annotate(
            paid=Sum("amount", filter=paid, default=0),
            in_transit=Sum("amount", filter=under_way, default=0),
            waiting=Count("pk", filter=Q(status=Payout.Status.DRAFT)),
        )
        .order_by("currency")
    )
    return {
        currency: {"paid": paid, "in_transit": on_its_way, "waiting": waiting}
        for currency, paid, on_its_way, waiting in rows
    }
