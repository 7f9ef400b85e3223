"""Daily watch time: the counted seconds of sessions, added up by user, video and day.

Refunds and the sharing of the pool read it (``payments.services.watchtime``).
"""

import uuid
from datetime import UTC

from django.db import transaction
from django.db.models import F

from payments.services.sharing import watchtime
from streaming import earning
from streaming.intervals import within, without
from streaming.models import PlaybackSession

BATCH = 500  # sessions of one call


def fold() -> int:
    """Add new watch time of at most BATCH sessions to the daily watch time.

    Returns the number of sessions added. Each second is added once, however many workers call this
    at the same time. Heartbeats write their session's row only, so this runs every minute. Seconds
    that earn count for the day (UTC) of the moments at which they were played, others for the day of the
    session's latest heartbeat.
    """
    behind = PlaybackSession.objects.filter(
        counted_seconds__gte=F("folded_seconds") + 1, user__isnull=False
    )
    folded = 0
    for pk in list(behind.order_by("last_heartbeat_at").values_list("pk", flat=True)[:BATCH]):
        folded += _fold(pk)
    return folded


def fold_of(user_id: uuid.UUID) -> None:
    """Add the new watch time of all of a user's sessions to the daily watch time. Safe to repeat."""
    sessions = PlaybackSession.objects.filter(user=user_id)
    behind = sessions.filter(counted_seconds__gte=F("folded_seconds") + 1)
    for pk in list(behind.order_by("last_heartbeat_at").values_list("pk", flat=True)):
        _fold(pk)


@transaction.atomic
def _fold(pk: uuid.UUID) -> bool:
    """Add one session's new watch time; return False when there is none, or none any more."""
    locked = PlaybackSession.objects.select_for_update(of=("self",)).select_related("video")
    session = locked.get(pk=pk)
    new = int(session.counted_seconds) - session.folded_seconds
    user_id, heartbeat_at = session.user_id, session.last_heartbeat_at
    if new <= 0 or user_id is None or heartbeat_at is None:
        return False
    settled = within(session.moments, new * earning.SECOND)
    session.folded_seconds += new
    session.moments = without(session.moments, settled)
    session.save(update_fields=["folded_seconds", "moments"])
    if session.counts:
        seconds = earning.seconds_by_day(settled)
        earned = earning.seconds_by_day(earning.take(user_id, settled))
        seconds[heartbeat_at.astimezone(UTC).date()] += new - sum(seconds.values())
        for day in sorted(seconds):
            watchtime.record(
                user_id=user_id,
                video=session.video,
                day=day,
                seconds=seconds[day],
                plan_seconds=min(earned[day], seconds[day]),
            )
    return True
