"""The deletion of raw playback that is older than ANALYTICS_RETENTION_DAYS. Roll-ups stay for ever."""

from datetime import UTC, date, timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from analytics.models import VideoView
from analytics.rollups.cells import begin_of
from analytics.rollups.models import RollupDay
from config import batches, ordered
from payments.models import Entitlement
from streaming.models import PlaybackSession

# A report that was planned before a day was folded reads its raw rows: it has this long.
SETTLED = timedelta(hours=1)


def prune_by_setting() -> int:
    """Delete raw playback that is older than the setting; return how many rows. For the worker.

    A call deletes a bounded number of rows. Safe to repeat, at any time, by any number of workers.
    """
    days: int = settings.ANALYTICS_RETENTION_DAYS
    return prune(timezone.now().astimezone(UTC).date() - timedelta(days=days)) if days else 0


def prune(before: date) -> int:
    """Delete the sessions, with their views, that began before this day (UTC); return how many rows.

    Only up to the first day that is not in the roll-ups, and never what money needs: see `needed`. From
    the first call on, reports know these days by their roll-ups alone.
    """
    before = _reach(before)
    days = RollupDay.objects.filter(day__lt=before, pruned_at=None)
    ordered.update(days, pruned_at=timezone.now())
    begin = begin_of(before)
    late = VideoView.objects.filter(session=OuterRef("pk"), at__gte=begin)
    old = PlaybackSession.objects.filter(
        ~needed(), ~Exists(late), created_at__lt=begin, expires_at__lt=timezone.now()
    )
    return batches.delete(old.order_by("created_at"))


def needed() -> Q:
    """Return the condition for sessions that money needs.

    What an order's session was sent decides about the return of that order, and of later orders of the
    same buyer and video, without an end. Watch time that the daily watch time does not have yet is paid
    out of the pool.
    """
    ordered = Q(entitlement__source_type=Entitlement.Source.ORDER)
    unbooked = Q(user__isnull=False, counted_seconds__gte=F("folded_seconds") + 1)
    return ordered | unbooked


def pruned_until() -> date | None:
    """Return the day after the latest pruned day, or None: raw rows before it would never be read."""
    pruned = RollupDay.objects.filter(pruned_at__isnull=False).order_by("-day")
    latest = pruned.values_list("day", flat=True).first()
    return latest and latest + timedelta(days=1)


def _reach(before: date) -> date:
    """Return the day up to which every day is folded and settled, at most ``before``."""
    settled = Q(folded_at__lt=timezone.now() - SETTLED)
    known: QuerySet[RollupDay] = RollupDay.objects.order_by("day")
    open_day = known.exclude(settled).values_list("day", flat=True).first()
    last = known.values_list("day", flat=True).last()
    if last is None:
        return date.min
    return min(before, open_day or last + timedelta(days=1))
