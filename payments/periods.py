"""Periods of subscriptions, and the calendar months (UTC) of the books."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

MONTHS = {"month": 1, "year": 12}
MONTH_NAME = re.compile(r"\A(20[0-9]{2})-(0[1-9]|1[0-2])\Z")


def add_months(start: datetime, months: int) -> datetime:
    """Return the same day and time ``months`` later, or the last day of a month that is too short.

    >>> add_months(datetime(2028, 1, 31), 1)
    datetime.datetime(2028, 2, 29, 0, 0)
    """
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    return start.replace(
        year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1])
    )


def next_renewal(anchor: datetime, after: datetime, interval: str) -> datetime:
    """Return the first renewal later than ``after`` of a subscription that began at ``anchor``.

    ``interval`` is "month" or "year". Renewals are counted from the anchor, so that a short month does
    not move the day of all later ones.

    >>> next_renewal(datetime(2027, 1, 31), datetime(2027, 2, 28), "month")
    datetime.datetime(2027, 3, 31, 0, 0)
    """
    months = MONTHS[interval]
    passed = (after.year - anchor.year) * 12 + after.month - anchor.month
    number = max(0, passed // months)
    while (renewal := add_months(anchor, number * months)) <= after:
        number += 1
    return renewal


def unused_part(value: int, start: datetime, end: datetime, at: datetime) -> int:
    """Return the part of a period's value that is unused at a moment, in minor units.

    It is proportional to the time that is left of the period from ``start`` to ``end``, and rounded to
    the nearest minor unit; a half is rounded down. After the period it is 0.

    >>> unused_part(999, datetime(2027, 1, 1), datetime(2027, 1, 31), datetime(2027, 1, 16))
    499
    """
    length = (end - start) // timedelta.resolution
    left = min(max(0, (end - at) // timedelta.resolution), length)
    return -((length - 2 * value * left) // (2 * length))


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in UTC. A moment t belongs to it if ``start`` ≤ t < ``end``."""

    year: int
    month: int

    @classmethod
    def named(cls, name: str) -> "Month":
        """Return the month of a name like "2026-09". Raises ValueError for any other form.

        >>> Month.named("2026-09").next()
        Month(year=2026, month=10)
        """
        match = MONTH_NAME.match(name)
        if match is None:
            raise ValueError(f"{name!r} is no month. Write it as YYYY-MM, such as 2026-09.")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: date) -> "Month":
        """Return the month of a date, or of a datetime in UTC."""
        return cls(moment.year, moment.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def next(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        return self.next().start

    @property
    def last_moment(self) -> datetime:
        return self.end - timedelta(microseconds=1)
