"""Reactions of analytics to news of other apps."""

from django.dispatch import receiver

from analytics import counting
from streaming.models import PlaybackSession
from streaming.signals import playback_progressed


@receiver(playback_progressed, dispatch_uid="analytics.count_view")
def count_view(sender, session: PlaybackSession, before: float, **kwargs):
    """Count the session's view, inside the heartbeat's transaction."""
    counting.count_view(session, before)
