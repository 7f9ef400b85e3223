"""Recomputing roll-ups from the raw rows, day by day: it must change nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics.rollups import folding, months
from analytics.rollups.cells import unpack, unpack_set
from analytics.rollups.models import Rollup, RollupDay, RollupMonth

FRESH = timedelta(days=1)  # how long --resume trusts what an earlier run has compared


@dataclass(frozen=True, slots=True)
class Difference:
    """The figures of a stored roll-up, and those of the raw rows."""

    day: date
    kind: str
    ref: str
    stored: dict[str, Any] | None
    found: dict[str, Any] | None

    def __str__(self) -> str:
        said = [
            f"{name}: stored {(self.stored or {}).get(name, 'nothing')},"
            f" found {(self.found or {}).get(name, 'nothing')}"
            for name in (self.stored or self.found or {})
            if (self.stored or {}).get(name) != (self.found or {}).get(name)
        ]
        return f"{self.day} {self.kind} {self.ref}: " + "; ".join(said)


@dataclass(slots=True)
class Rebuilt:
    """What a run did. ``pruned`` days have no raw rows to be recomputed from."""

    compared: int = 0
    added: int = 0
    pruned: int = 0
    skipped: int = 0
    different: int = 0
    busy: int = 0


def rebuild(
    start: date | None,
    end: date | None,
    *,
    write: bool,
    resume: bool,
    tell: Callable[[Difference], None],
    progress: Callable[[int, int], None],
) -> Rebuilt:
    """Compare the roll-ups of the days (UTC) from ``start`` to ``end``, included, with the raw rows.

    ``write`` replaces those that differ, and adds up the days that are not folded yet; each day is one
    transaction, so that a run can be ended at any moment. ``resume`` skips the days that a run of the
    last day has compared. ``tell`` hears of each difference, ``progress`` of the days done and their
    number. Safe beside the service and its workers.
    """
    if write:
        folding.prepare()
    days = RollupDay.objects.filter(day__lt=folding.finished_before()).order_by("day")
    if start:
        days = days.filter(day__gte=start)
    if end:
        days = days.filter(day__lte=end)
    rows = list(days)
    done = Rebuilt()
    wrong: set[date] = set()
    for number, row in enumerate(rows, start=1):
        if _one(row, done, write=write, resume=resume, tell=tell):
            wrong.add(row.day.replace(day=1))
        progress(number, len(rows))
    # A month follows from the roll-ups of its days, so that it is compared where these are right.
    for month in sorted({row.day.replace(day=1) for row in rows} - wrong):
        if months.is_complete(month, {row.day for row in rows}):
            _month(month, done, write=write, tell=tell)
    for month in months.waiting() if write else ():
        months.fold(month)
    return done


def _one(
    row: RollupDay,
    done: Rebuilt,
    *,
    write: bool,
    resume: bool,
    tell: Callable[[Difference], None],
) -> bool:
    """Compare one day, or add it up; return whether its roll-ups differ from the raw rows."""
    now = timezone.now()
    if row.pruned_at is not None:
        done.pruned += 1
    elif resume and row.compared_at is not None and row.compared_at > now - FRESH:
        done.skipped += 1
    elif row.folded_at is None:
        done.added += write and folding.fold(row.day)
    else:
        rows = folding.rollups_of(row.day)
        different = list(differences(row.day, rows))
        if different and not _is_unchanged(row):
            done.busy += 1  # a late row came meanwhile: the worker adds the day up
            return False
        for each in different:
            tell(each)
        done.compared += 1
        done.different += len(different)
        if write:
            done.busy += not _replace(row, rows, is_changed=bool(different))
        return bool(different)
    return False


def _month(month: date, done: Rebuilt, *, write: bool, tell: Callable[[Difference], None]) -> None:
    """Compare the roll-ups of a month with those of its days."""
    stored, found = (
        {(row.kind, row.ref): _sums(row) for row in rows}
        for rows in (RollupMonth.objects.filter(month=month), months.rollups_of(month))
    )
    different = [key for key in sorted({*stored, *found}) if stored.get(key) != found.get(key)]
    if different and not months.is_complete(month):
        return  # a late row came meanwhile
    for kind, ref in different:
        key = kind, ref
        tell(Difference(month, f"month of {kind}", str(ref), stored.get(key), found.get(key)))
    done.different += len(different)
    if different and write:
        done.busy += not months.fold(month)


def _sums(row: Rollup | RollupMonth) -> dict[str, Any]:
    """Return what the roll-ups of days and of months both have, for comparison."""
    return {
        "creator": row.creator,
        "views": row.views,
        "viewers": set(unpack_set(row.viewers)),
        "sessions": row.sessions,
        "watch_ms": row.watch_ms,
    }


def _is_unchanged(row: RollupDay) -> bool:
    return RollupDay.objects.filter(
        pk=row.pk, changes=row.changes, folded_at=row.folded_at, pruned_at=None
    ).exists()


@transaction.atomic
def _replace(row: RollupDay, rows: list[Rollup], *, is_changed: bool) -> bool:
    """Store recomputed roll-ups of a folded day, unless its raw rows have changed meanwhile.

    ``is_changed`` ones take the day out of its month.
    """
    locked = RollupDay.objects.select_for_update().filter(
        pk=row.pk, changes=row.changes, folded_at=row.folded_at, pruned_at=None
    )
    found = locked.first()
    if found is None:
        return False
    Rollup.objects.filter(day=row.day).delete()
    Rollup.objects.bulk_create(rows, batch_size=200)
    found.compared_at = timezone.now()
    found.in_month = found.in_month and not is_changed
    found.save(update_fields=["compared_at", "in_month"])
    return True


def differences(day: date, rows: list[Rollup]) -> Iterator[Difference]:
    """Yield where the stored roll-ups of a day differ from these."""
    stored = {(row.kind, row.ref): _content(row) for row in Rollup.objects.filter(day=day)}
    found = {(row.kind, row.ref): _content(row) for row in rows}
    for kind, ref in sorted({*stored, *found}):
        before, now = stored.get((kind, ref)), found.get((kind, ref))
        if before and now and _length(before) != _length(now):
            # The video has got another file since: reports read this day's curve from the raw rows.
            before.pop("retention")
            now.pop("retention")
        if before != now:
            yield Difference(day, str(kind), str(ref), before, now)


def _content(row: Rollup) -> dict[str, Any]:
    """Return a roll-up's contents for comparison: what its bytes say, not the bytes."""
    return {
        **_sums(row),
        "sources": row.sources,
        "cells": [
            (number, cell.views, set(cell.viewers), cell.by_access)
            for number, cell in unpack(row.cells)
        ],
        "retention": row.retention,
    }


def _length(content: dict[str, Any]) -> float | None:
    return content["retention"][0] if content["retention"] else None
