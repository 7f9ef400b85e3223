"""Reactions of analytics to news of other apps."""

from datetime import datetime

from django.dispatch import receiver

from analytics import counting
from analytics.rollups import folding, pruning
from streaming.models import PlaybackSession
from streaming.signals import late_playback_recorded, playback_progressed
from videos.signals import worker_tick


@receiver(playback_progressed, dispatch_uid="analytics.count_view")
def count_view(sender, session: PlaybackSession, before: float, **kwargs):
    """Count the session's view, inside the heartbeat's transaction."""
    counting.count_view(session, before)


@receiver(late_playback_recorded, dispatch_uid="analytics.note_late_playback")
def note_late_playback(sender, begun: list[datetime], **kwargs):
    """Have the days of late playback added up again, inside the transaction that records it."""
    folding.mark_late(begun)


@receiver(worker_tick, dispatch_uid="analytics.maintain_rollups")
def maintain_rollups(sender, every: str, **kwargs):
    """Add finished days up, and prune what is older than the setting."""
    if every == "minute":
        folding.in_worker()
    elif every == "hour":
        pruning.prune_by_setting()
