"""Daily watch time: the watched seconds of sessions, added up by user, video and day.

Refunds and the sharing of the pool read it (``payments.services.watchtime``).
"""

import uuid
from datetime import UTC

from django.db import transaction
from django.db.models import F

from payments.services.sharing import watchtime
from streaming.models import PlaybackSession

BATCH = 500  # sessions of one call


def fold() -> int:
    """Add new watch time of at most BATCH sessions to the daily watch time.

    Returns the number of sessions added. Each second is added once, however many workers call this
    at the same time. Heartbeats write their session's row only, so this runs every minute. Seconds
    count for the day (UTC) of the session's latest heartbeat.
    """
    behind = PlaybackSession.objects.filter(
        counted_seconds__gte=F("folded_seconds") + 1, user__isnull=False
    )
    folded = 0
    for pk in list(behind.order_by("last_heartbeat_at").values_list("pk", flat=True)[:BATCH]):
        folded += _fold(pk)
    return folded


@transaction.atomic
def _fold(pk: uuid.UUID) -> bool:
    """Add one session's new watch time; return False when there is none, or none any more."""
    locked = PlaybackSession.objects.select_for_update(of=("self",)).select_related("video")
    session = locked.get(pk=pk)
    new = int(session.counted_seconds) - session.folded_seconds
    user_id, heartbeat_at = session.user_id, session.last_heartbeat_at
    if new <= 0 or user_id is None or heartbeat_at is None:
        return False
    session.folded_seconds += new
    session.save(update_fields=["folded_seconds"])
    if session.counts:
        watchtime.record(
            user_id=user_id,
            video=session.video,
            day=heartbeat_at.astimezone(UTC).date(),
            seconds=new,
            plan_seconds=new if session.access == "subscription" else 0,
        )
    return True
