"""From sessions to days: what each user watched, for refunds and for the subscribers' pool."""

from datetime import UTC

from django.db import transaction
from django.db.models import F

from payments.services.sharing import watchtime
from streaming.models import PlaybackSession

AT_ONCE = 500


def fold() -> int:
    """Take new watch time over into the daily watch time, each second once; returns the sessions.

    A heartbeat writes its own session only; this runs every minute, in any number of workers.
    """
    behind = PlaybackSession.objects.filter(
        clocked_seconds__gt=F("folded_seconds"), user__isnull=False
    )
    folded = 0
    for pk in list(behind.order_by("last_heartbeat_at").values_list("pk", flat=True)[:AT_ONCE]):
        folded += _fold(pk)
    return folded


@transaction.atomic
def _fold(pk) -> bool:
    found = PlaybackSession.objects.select_for_update(of=("self",)).select_related("video")
    session = found.get(pk=pk)
    new = session.clocked_seconds - session.folded_seconds
    if new <= 0:
        return False
    session.folded_seconds = session.clocked_seconds
    session.save(update_fields=["folded_seconds"])
    if session.counts:
        watchtime.record(
            user_id=session.user_id,
            video=session.video,
            day=session.last_heartbeat_at.astimezone(UTC).date(),
            seconds=new,
            plan_seconds=new if session.access == "subscription" else 0,
        )
    return True
