"""Adding up the roll-ups of whole months, so that a report of years reads a row a month for each video.

A month has roll-ups of its own as soon as each of its days is in the roll-ups. A day that is added up
again is not in its month any more (`RollupDay.in_month`): reports read the days then, until the month is
added up again.
"""

import time
from calendar import monthrange
from collections import Counter
from collections.abc import Container
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from pyroaring import BitMap

from analytics.rollups.cells import unpack_set
from analytics.rollups.models import Rollup, RollupDay, RollupMonth

# What tells that a day's roll-ups are still those that were read.
State = list[tuple[date, datetime | None, int, datetime | None]]


def in_worker(until: float) -> int:
    """Add finished months up until this moment of the monotonic clock; return how many. Safe to repeat.

    Newest first, and one in any case, so that a worker that is busy with days gets there too.
    """
    done = 0
    for month in waiting():
        done += fold(month)
        if time.monotonic() >= until:
            break
    return done


def waiting() -> list[date]:
    """Return the months of which every day is in the roll-ups, and some day not in the month."""
    days = RollupDay.objects.filter(folded_at__isnull=False).values_list("day", "in_month")
    folded: Counter[date] = Counter()
    outside = set()
    for day, in_month in days:
        month = day.replace(day=1)
        folded[month] += 1
        if not in_month:
            outside.add(month)
    return sorted((each for each in outside if folded[each] == _length(each)), reverse=True)


def fold(month: date) -> bool:
    """Add a month up from the roll-ups of its days, and replace what was added up before.

    Return False, and change nothing, if a day has changed meanwhile or is not in the roll-ups.
    """
    state = _state(month)
    if len(state) < _length(month) or any(folded_at is None for _, folded_at, *_ in state):
        return False
    rows = rollups_of(month)
    with transaction.atomic():
        if _state(month, locked=True) != state:
            return False
        RollupMonth.objects.filter(month=month).delete()
        RollupMonth.objects.bulk_create(rows, batch_size=200)
        _days(month).update(in_month=True)
    return True


def is_complete(month: date, among: Container[date] | None = None) -> bool:
    """Return whether a month's roll-ups have every day as it is now; with every day ``among`` these."""
    days = _days(month).filter(in_month=True, folded_at__isnull=False).values_list("day", flat=True)
    found = [day for day in days if among is None or day in among]
    return len(found) == _length(month)


def rollups_of(month: date) -> list[RollupMonth]:
    """Return the roll-ups of a month as they follow from those of its days."""
    sums: dict[tuple[str, UUID, UUID], tuple[list[int], BitMap]] = {}
    rows = Rollup.objects.filter(
        day__gte=month, day__lte=month.replace(day=_length(month))
    ).exclude(kind=Rollup.Kind.ALL)
    names = ("kind", "ref", "creator", "views", "sessions", "watch_ms", "viewers")
    for kind, ref, creator, *numbers, viewers in rows.values_list(*names).iterator(chunk_size=2000):
        total, found = sums.setdefault((kind, ref, creator or ref), ([0, 0, 0], BitMap()))
        total[:] = map(int.__add__, total, numbers)
        found |= unpack_set(viewers)
    return [
        RollupMonth(
            month=month,
            kind=kind,
            ref=ref,
            creator=creator,
            views=views,
            sessions=sessions,
            watch_ms=watch_ms,
            viewers=viewers.serialize(),
        )
        for (kind, ref, creator), ((views, sessions, watch_ms), viewers) in sums.items()
    ]


def _length(month: date) -> int:
    return monthrange(month.year, month.month)[1]


def _days(month: date) -> QuerySet[RollupDay]:
    return RollupDay.objects.filter(day__gte=month, day__lte=month.replace(day=_length(month)))


def _state(month: date, *, locked: bool = False) -> State:
    days = _days(month).order_by("day")
    if locked:
        # Never waits, so that it is no part of a deadlock: a day that is locked is about to change.
        days = days.select_for_update(skip_locked=True)
    return list(days.values_list("day", "folded_at", "changes", "compared_at"))
