"""The steps of a series: hours, days, weeks and months of a time zone, with its daylight-saving time.

The database cannot name them alone: it gives both hours of a night in which the clock is set back one
name, and knows the time zones of its own version. So it gets spans in which the zone's offset from UTC
is constant, and groups by the local time of each.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from django.db.models import Case, DateTimeField, F, Func, IntegerField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek

TRUNC = {"hour": TruncHour, "day": TruncDay, "week": TruncWeek, "month": TruncMonth}
HOUR = timedelta(hours=1)
# How SQLite finds the begin of a step. "weekday 0" is the Sunday that ends the week.
SQLITE = {
    "hour": ("%Y-%m-%d %H:00:00", ()),
    "day": ("%Y-%m-%d 00:00:00", ()),
    "week": ("%Y-%m-%d 00:00:00", ("weekday 0", "-6 days")),
    "month": ("%Y-%m-01 00:00:00", ()),
}
LOOK_EVERY = timedelta(days=5)  # no zone changes its offset twice within this time


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a zone's offset from UTC is constant, from ``start`` to just before ``end``."""

    start: datetime
    end: datetime
    offset: timedelta


def spans(start: datetime, end: datetime, zone: tzinfo) -> list[Span]:
    """Return the spans of constant offset that make up the time from ``start`` to ``end``, in order."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    found, begun, moment = [], start, start
    while moment < end:
        later = min(moment + LOOK_EVERY, end)
        if _offset(later, zone) != _offset(moment, zone):
            change = _change(moment, later, zone)
            if change < end:
                found.append(Span(begun, change, _offset(moment, zone)))
                begun = change
        moment = later
    return [*found, Span(begun, end, _offset(begun, zone))]


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _change(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return the second between two moments at which the offset changes."""
    before = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high.replace(microsecond=0)


class LocalBegin(Func):
    """The begin of a step on a clock with a fixed offset from UTC, for the moment in a field.

    Django's own functions for this are Python code on SQLite, which costs ten times as much a row.
    """

    output_field = DateTimeField()

    def __init__(self, field: str, interval: str, offset: timedelta, **extra: Any) -> None:
        super().__init__(F(field), **extra)
        self.interval, self.offset = interval, offset

    def as_sql(self, compiler, connection, **context):  # type: ignore[override]  # Func has more options
        """Return the SQL of Django's function."""
        (source,) = self.get_source_expressions()
        trunc = TRUNC[self.interval](source, tzinfo=timezone(self.offset))
        return compiler.compile(trunc.resolve_expression(compiler.query))

    def as_sqlite(self, compiler, connection, **context):
        (source,) = self.get_source_expressions()
        column, params = compiler.compile(source)
        form, modifiers = SQLITE[self.interval]
        shift = f"{int(self.offset.total_seconds()):+d} seconds"
        holes = ", ".join(["%s"] * (1 + len(modifiers)))
        return f"strftime(%s, {column}, {holes})", (form, *params, shift, *modifiers)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one length in one time zone, over one period."""

    interval: str
    zone: tzinfo
    spans: list[Span]

    @classmethod
    def over(cls, start: datetime, end: datetime, interval: str, zone: tzinfo) -> "Steps":
        return cls(interval, zone, spans(start, end, zone))

    def local(self, field: str) -> Combinable:
        """Return, for the moment in ``field``, the begin of its step on the zone's clock."""
        trunc = TRUNC[self.interval]
        return self._case(
            field, [trunc(field, tzinfo=timezone(each.offset)) for each in self.spans]
        )

    def span(self, field: str) -> Combinable:
        """Return the number of the span that keeps apart hours of one name. Other steps have none."""
        if self.interval != "hour":
            return Value(0)
        return self._case(field, [Value(number) for number in range(len(self.spans))])

    def _case(self, field: str, values: list) -> Combinable:
        if len(values) == 1:
            return values[0]
        output = IntegerField() if isinstance(values[0], Value) else DateTimeField()
        whens = [
            When(**{f"{field}__lt": span.end}, then=value)
            for span, value in zip(self.spans, values[:-1], strict=False)
        ]
        return Case(*whens, default=values[-1], output_field=output)

    def begin(self, moment: datetime) -> datetime:
        """Return the first moment, in UTC, of the step that holds the moment; as SQL finds it."""
        utc = moment.astimezone(UTC)
        span = bisect_right(self.spans, utc, hi=len(self.spans) - 1, key=lambda each: each.end)
        local = utc.replace(tzinfo=None) + self.spans[span].offset
        if self.interval == "hour":
            local = local.replace(minute=0, second=0, microsecond=0)
            return self.moment(local, span).astimezone(UTC)
        local = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.interval == "week":
            local -= timedelta(days=local.weekday())
        elif self.interval == "month":
            local = local.replace(day=1)
        return self.moment(local, 0).astimezone(UTC)

    def moment(self, local: datetime, span: int) -> datetime:
        """Return the first moment of the step that ``local`` and ``span`` name, in the zone."""
        naive = local.replace(tzinfo=None)
        if self.interval != "hour":
            # A midnight that the clock skips is the moment of the change; of two, the first is meant.
            return naive.replace(tzinfo=self.zone).astimezone(UTC).astimezone(self.zone)
        of = self.spans[span]
        begin = (naive - of.offset).replace(tzinfo=UTC)
        # A change within an hour, as on Lord Howe Island, begins a shorter one.
        return (max(begin, of.start) if span else begin).astimezone(self.zone)


def before(start: datetime, end: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the period before: it ends at ``start`` and is as long on the zone's clock."""
    local_start, local_end = start.astimezone(zone), end.astimezone(zone)
    length = local_end.replace(tzinfo=None) - local_start.replace(tzinfo=None)
    begin = (local_start.replace(tzinfo=None) - length).replace(tzinfo=zone)
    return begin.astimezone(UTC), start
