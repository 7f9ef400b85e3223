"""Adding up the playback of finished days, each day as a whole, and replacing what was added up before.

A day is finished when no session that began on it can still change, so it is added up once. If a raw row
comes later all the same, its day is marked in the transaction of that row, read raw from then on, and
added up again. Any number of workers may do this at once, and be killed: a day is replaced in one
transaction, and only if no late row has come since its raw rows were read.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from analytics.models import VideoView
from analytics.retention import Curve
from analytics.rollups import months
from analytics.rollups.cells import Playback, Quarters, add, begin_of, nothing, pack, quarter_of
from analytics.rollups.models import Rollup, RollupDay, ViewerNumber
from config import bulk, ordered
from streaming.models import UNCOUNTED, PlaybackSession

DAY = timedelta(days=1)
# Beyond the longest life of a session: the delivery may note a little later what it sent last.
SLACK = timedelta(hours=2)
CLAIM = timedelta(minutes=10)
SECONDS_OF_ROUND = 5.0
NUMBERS_AT_ONCE = 1000
EVERYTHING = UUID(int=0)
Key = tuple[str, UUID, UUID | None]  # kind, ref, creator


def finished_before(now: datetime | None = None) -> date:
    """Return the first day (UTC) whose playback may still change."""
    lives = timedelta(hours=settings.PLAYBACK_GRANT_HOURS) + SLACK
    return ((now or timezone.now()) - lives).astimezone(UTC).date()


def in_worker() -> int:
    """Add finished days up for some seconds, newest first; return how many days. Safe to repeat.

    Then the months that are complete, in what is left of the time.
    """
    begun, done = time.monotonic(), 0
    prepare()
    while time.monotonic() - begun < SECONDS_OF_ROUND:
        day = _claim()
        if day is None:
            break
        done += fold(day)
    months.in_worker(begun + SECONDS_OF_ROUND)
    return done


def prepare() -> None:
    """Make the row of each finished day that has none, from the first day with playback on."""
    moments = [
        rows.order_by(name).values_list(name, flat=True).first()
        for rows, name in ((PlaybackSession.objects, "created_at"), (VideoView.objects, "at"))
    ]
    known = set(RollupDay.objects.values_list("day", flat=True))
    firsts = known | {moment.astimezone(UTC).date() for moment in moments if moment is not None}
    if firsts:
        start, end = min(firsts), finished_before()
        days = [start + DAY * number for number in range((end - start).days)]
        RollupDay.objects.bulk_create(
            [RollupDay(day=day) for day in days if day not in known],
            ignore_conflicts=True,
            batch_size=500,
        )


def mark(days: Iterable[date]) -> None:
    """Have days read raw, and added up again: raw rows of these days are written in this transaction.

    Days that are pruned stay as they are. A day without a row gets one, which holds back a worker that
    begins to add it up.
    """
    wanted = sorted(set(days))
    RollupDay.objects.bulk_create([RollupDay(day=day) for day in wanted], ignore_conflicts=True)
    kept = RollupDay.objects.filter(day__in=wanted, pruned_at=None)
    ordered.update(kept, folded_at=None, claimed_at=None, in_month=False, changes=F("changes") + 1)


def mark_late(moments: Iterable[datetime]) -> None:
    """Mark the days of those moments that may be finished. Runs no query where there are none.

    An hour early, because the clocks of machines differ.
    """
    finished = finished_before(timezone.now() + timedelta(hours=1))
    if late := {day for each in moments if (day := each.astimezone(UTC).date()) < finished}:
        mark(late)


def _claim() -> date | None:
    """Return a finished day that no other worker is adding up, or None when there is none."""
    now = timezone.now()
    free = RollupDay.objects.filter(
        Q(claimed_at=None) | Q(claimed_at__lt=now - CLAIM),
        folded_at=None,
        day__lt=finished_before(now),
    )
    for day in free.order_by("-day").values_list("day", flat=True)[:10]:
        if free.filter(day=day).update(claimed_at=now):
            return day
    return None


def fold(day: date) -> bool:
    """Add a day up and replace its roll-ups; return False when late rows came meanwhile.

    Nothing changes then, nor for a day that is folded already or has no row.
    """
    changes = RollupDay.objects.filter(day=day, folded_at=None).values_list("changes", flat=True)
    known = changes.first()
    if known is None:
        return False
    rows = rollups_of(day)
    with transaction.atomic():
        locked = RollupDay.objects.select_for_update().filter(
            day=day, folded_at=None, changes=known
        )
        row = locked.first()
        if row is None:
            return False
        Rollup.objects.filter(day=day).delete()
        Rollup.objects.bulk_create(rows, batch_size=200)
        row.folded_at, row.claimed_at = timezone.now(), None
        row.in_month = False
        row.save(update_fields=["folded_at", "claimed_at", "in_month"])
    return True


def rollups_of(day: date) -> list[Rollup]:
    """Return the roll-ups of a day as they follow from the raw rows. Saves the viewers' numbers only."""
    start, end = begin_of(day), begin_of(day + DAY)
    made: defaultdict[Key, Quarters] = defaultdict(lambda: defaultdict(Playback))
    _add_views(made, start, end)
    curves = _add_sessions(made, start, end)
    return [_row(day, key, quarters, curves.get(key[1])) for key, quarters in made.items()]


def _keys(video: UUID, creator: UUID) -> tuple[Key, ...]:
    kind = Rollup.Kind
    return (
        (kind.ALL.value, EVERYTHING, None),
        (kind.CREATOR.value, creator, None),
        (kind.VIDEO.value, video, creator),
    )


def _add_views(made: Any, start: datetime, end: datetime) -> None:
    rows = list(
        VideoView.objects.filter(at__gte=start, at__lt=end).values_list(
            "video_id", "creator_id", "viewer_key", "at"
        )
    )
    numbers = numbers_of({row[2] for row in rows})
    found: defaultdict[tuple[UUID, UUID, int], list[int]] = defaultdict(list)
    for video, creator, viewer, at in rows:
        found[video, creator, quarter_of(at)[1]].append(numbers[viewer])
    for (video, creator, quarter), viewers in found.items():
        for key in _keys(video, creator):
            cell = made[key][quarter]
            cell.views += len(viewers)
            cell.viewers.update(viewers)


def _add_sessions(made: Any, start: datetime, end: datetime) -> dict[UUID, Curve]:
    sessions = (
        PlaybackSession.objects.filter(created_at__gte=start, created_at__lt=end)
        .exclude(access__in=UNCOUNTED)
        .values_list(
            *("video_id", "video__creator_id", "video__duration_seconds", "created_at", "access"),
            *("watched", "watched_seconds", "delivered_seconds"),
            *("last_heartbeat_at", "startup_ms", "rebuffer_ms"),
        )
    )
    curves: dict[UUID, Curve] = {}
    found: defaultdict[tuple[UUID, UUID, int, str], list[int]] = defaultdict(nothing)
    for row in sessions.iterator(chunk_size=2000):
        video, creator, duration, at, access, watched, seconds, delivered, *heard = row
        add(found[video, creator, quarter_of(at)[1], access], _sums(seconds, delivered, *heard))
        if video not in curves:
            curves[video] = Curve(duration)
        curves[video].add(watched, seconds, delivered)
    for (video, creator, quarter, access), sums in found.items():
        for key in _keys(video, creator):
            made[key][quarter].play(access, sums)
    return curves


def _sums(
    seconds: float, delivered: int, heard_at: datetime | None, startup: int | None, stalled: int
) -> list[int]:
    """Return one session's sums, in the order of `analytics.rollups.cells`."""
    watched, is_heard = round(seconds * 1000), heard_at is not None
    is_timed = is_heard and startup is not None
    return [
        1,
        min(watched, delivered * 1000),
        int(is_heard),
        int(is_timed),
        (startup or 0) if is_timed else 0,
        stalled if is_heard else 0,
        watched if is_heard else 0,
    ]


def _row(day: date, key: Key, quarters: Quarters, curve: Curve | None) -> Rollup:
    kind, ref, creator = key
    whole = Playback()
    for quarter in quarters.values():
        whole.merge(quarter)
    return Rollup(
        day=day,
        kind=kind,
        ref=ref,
        creator=creator,
        views=whole.views,
        sessions=whole.sessions,
        watch_ms=whole.watch_ms,
        viewers=whole.viewers.serialize(),
        sources=whole.by_access,
        cells=pack(quarters),
        retention=(
            [curve.duration, *curve.counts()] if curve and kind == Rollup.Kind.VIDEO else None
        ),
    )


def numbers_of(viewers: set[str]) -> dict[str, int]:
    """Return the number of each viewer's key; a new key gets one.

    Outside of the transaction that adds a day up, so that two workers never wait for each other's keys.
    """
    found: dict[str, int] = {}
    ordered = sorted(viewers)
    for start in range(0, len(ordered), NUMBERS_AT_ONCE):
        some = ordered[start : start + NUMBERS_AT_ONCE]
        known = _known(some)
        if new := [(key,) for key in some if key not in known]:
            bulk.insert(ViewerNumber, ("viewer_key",), new, ignore_conflicts=True)
            known = _known(some)
        found |= known
    return found


def _known(keys: list[str]) -> dict[str, int]:
    rows = ViewerNumber.objects.filter(viewer_key__in=keys)
    return dict(rows.values_list("viewer_key", "pk"))
