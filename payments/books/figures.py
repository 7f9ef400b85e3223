"""The platform's revenue over a number of days, as the admin site's overview shows it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import Q, Sum

from payments import modes
from payments.books import reports
from payments.books.reports import Period, RevenueDay, RevenueRow
from payments.models import Payout


class Term(NamedTuple):
    """One column's value in an equation, in minor units."""

    name: str
    sign: int
    value: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Both sides of `reports.IDENTITY` for one currency."""

    came_in: list[Term]
    became: list[Term]

    @property
    def left(self) -> int:
        return sum(term.sign * term.value for term in self.came_in)

    @property
    def right(self) -> int:
        return sum(term.sign * term.value for term in self.became)

    @property
    def holds(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class PayoutTotals:
    """Payouts in one currency: paid and returned within a period, and under way now, in minor units.

    A payout that was paid in one month and returned in the next is paid in the one and returned in the
    other.
    """

    paid: int
    returned: int
    in_transit: int


def last_days(number: int, today: date) -> Period:
    """Return the period of ``number`` whole days (UTC) that ends with today."""
    first = today - timedelta(days=number - 1)
    return Period(_midnight(first), _midnight(today + timedelta(days=1)))


def by_day(number: int, today: date) -> dict[str, list[RevenueDay]]:
    """Return every day of `last_days` by currency, the days without entries too, oldest first."""
    days = [_midnight(today - timedelta(days=number - 1 - index)) for index in range(number)]
    booked: dict[str, dict[datetime, RevenueDay]] = {}
    for row in reports.series(last_days(number, today)):
        booked.setdefault(row.currency, {})[row.day] = row
    return {
        currency: [rows.get(day, RevenueDay(day, currency)) for day in days]
        for currency, rows in sorted(booked.items())
    }


def identity(row: RevenueRow) -> Identity:
    """Return the equation of a row: the money that came in, and the shares that it became."""
    came_in, became = (
        [Term(column.short, sign, getattr(row, column.name)) for column, sign in side]
        for side in (reports.CAME_IN, reports.BECAME)
    )
    return Identity(came_in, became)


def payouts(period: Period) -> dict[str, PayoutTotals]:
    """Return the payouts of a period and the payouts under way now, by currency. One query."""
    paid = Q(status__in=Payout.PAID_OUT) & period.of("settled_at")
    returned = Q(status=Payout.Status.RETURNED) & period.of("returned_at")
    under_way = Q(status__in=Payout.IN_FLIGHT)
    rows = (
        Payout.objects.filter(modes.of_present("created_at"), paid | returned | under_way)
        .values_list("currency")
        .annotate(
            paid=Sum("amount", filter=paid, default=0),
            returned=Sum("amount", filter=returned, default=0),
            in_transit=Sum("amount", filter=under_way, default=0),
        )
        .order_by("currency")
    )
    return {currency: PayoutTotals(*sums) for currency, *sums in rows}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
