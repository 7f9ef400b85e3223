"""The plan of a report: which days of its period come from roll-ups, and which times from raw rows."""

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
    """

    whole: list[date] = field(default_factory=list)
    cut: dict[date, tuple[int, int]] = field(default_factory=dict)
    raw: list[Time] = field(default_factory=list)
    parts: dict[date, Time] = field(default_factory=dict)
    pruned: set[date] = field(default_factory=set)

    @property
    def days(self) -> list[date]:
        """All days of which roll-ups are read."""
        return [*self.whole, *self.cut]


def make_plan(start: datetime, end: datetime) -> Plan:
    """Return the plan for the period from ``start`` to just before ``end``: one query."""
    days = RollupDay.objects.filter(
        folded_at__isnull=False,
        day__gte=start.astimezone(UTC).date(),
        day__lte=end.astimezone(UTC).date(),
    )
    folded = list(days.order_by("day").values_list("day", "pruned_at"))
    plan = _of(start, end, folded)
    if len(plan.raw) > TIMES_MAX:
        plan = _of(start, end, [each for each in folded if each[1] is not None])
    return plan


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
