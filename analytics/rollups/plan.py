"""The plan of a report: which days of its period come from roll-ups, and which times from raw rows."""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from analytics.rollups.cells import QUARTER, begin_of
from analytics.rollups.models import RollupDay

DAY = timedelta(days=1)
QUARTERS = 96
# A statement with more times than this takes long to plan. Days that need not be read from roll-ups are
# read raw instead.
TIMES_MAX = 40
Time = tuple[datetime, datetime]  # from, to just before


@dataclass(slots=True)
class Plan:
    """How to read one period: each moment of it once.

    ``whole`` are folded days that lie in the period, ``cut`` folded days with the quarters of them that
    do (from, to just before). ``raw`` are the other times. The pieces of a quarter that a period begins
    or ends within are raw; of a pruned day, a quarter counts if its begin lies in the period.
    ``parts`` are the raw times of the cut days that are not pruned, as whole pieces of days.
    ``months`` are the months of whole days that have roll-ups of their own, and ``loose`` the whole days
    beside them.
    """

    whole: list[date] = field(default_factory=list)
    cut: dict[date, tuple[int, int]] = field(default_factory=dict)
    raw: list[Time] = field(default_factory=list)
    parts: dict[date, Time] = field(default_factory=dict)
    pruned: set[date] = field(default_factory=set)
    months: list[date] = field(default_factory=list)
    loose: list[date] = field(default_factory=list)


def make_plans(*periods: Time) -> list[Plan]:
    """Return the plan for each period, from its begin to just before its end: one query."""
    days = RollupDay.objects.filter(
        folded_at__isnull=False,
        day__gte=min(start for start, _ in periods).astimezone(UTC).date(),
        day__lte=max(end for _, end in periods).astimezone(UTC).date(),
    )
    rows = list(days.order_by("day").values_list("day", "pruned_at", "in_month"))
    folded = [(day, pruned_at) for day, pruned_at, _ in rows]
    in_months = {day for day, _, in_month in rows if in_month}
    plans = []
    for start, end in periods:
        plan = _of(start, end, folded)
        if len(plan.raw) > TIMES_MAX:
            plan = _of(start, end, [each for each in folded if each[1] is not None])
        _find_months(plan, in_months)
        plans.append(plan)
    return plans


def _find_months(plan: Plan, in_months: set[date]) -> None:
    """Part the whole days into the months that are complete among them, and the days beside these."""
    by_month: dict[date, list[date]] = {}
    for day in plan.whole:
        by_month.setdefault(day.replace(day=1), []).append(day)
    for month, days in by_month.items():
        if len(days) == monthrange(month.year, month.month)[1] and in_months.issuperset(days):
            plan.months.append(month)
        else:
            plan.loose += days


def _of(start: datetime, end: datetime, folded: Iterable[tuple[date, datetime | None]]) -> Plan:
    plan, reached = Plan(), start
    for day, pruned_at in folded:
        midnight = begin_of(day)
        first, after = max(start, midnight), min(end, midnight + DAY)
        if first >= after:
            continue
        _add(plan.raw, reached, first)
        reached = after
        is_pruned = pruned_at is not None
        begin = -(-(first - midnight) // QUARTER)
        stop = -(-(after - midnight) // QUARTER) if is_pruned else (after - midnight) // QUARTER
        if is_pruned:
            plan.pruned.add(day)
        if (begin, stop) == (0, QUARTERS):
            plan.whole.append(day)
            continue
        if not is_pruned:
            plan.parts[day] = (first, after)
            if begin > stop:
                _add(plan.raw, first, after)
                continue
            _add(plan.raw, first, begin_of(day, begin))
            _add(plan.raw, begin_of(day, stop), after)
        if begin < stop:
            plan.cut[day] = (begin, stop)
    _add(plan.raw, reached, end)
    return plan


def _add(times: list[Time], start: datetime, end: datetime) -> None:
    """Add a time at the end of the list; one that follows the last without a gap prolongs it."""
    if start >= end:
        return
    if times and times[-1][1] == start:
        times[-1] = (times[-1][0], end)
    else:
        times.append((start, end))
