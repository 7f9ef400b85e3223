"""Deleting the personal data that ended playback sessions no longer need."""

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from config import batches, ordered
from streaming.models import UNCOUNTED, PlaybackSession

KEPT = timedelta(days=30)  # after the session has ended


def forget_devices() -> int:
    """Forget network and user agent of the sessions that ended KEPT ago; return how many.

    Sessions of owners and administrators, and previews, are deleted: they make no view and no watch
    time. The others keep all that the reports read, for as long as reports can be asked for. Safe to
    repeat; a call changes a bounded number of rows.
    """
    old = PlaybackSession.objects.filter(
        ended_at__lt=timezone.now() - KEPT, network__isnull=False
    ).order_by("ended_at")
    uncounted = old.filter(access__in=UNCOUNTED, counted_seconds=F("folded_seconds"))
    return batches.delete(uncounted) + batches.in_batches(
        old, lambda batch: ordered.update(batch, network=None, user_agent="")
    )
