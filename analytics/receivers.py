from django.dispatch import receiver

from analytics import ingest
from streaming.signals import playback_progressed


@receiver(playback_progressed, dispatch_uid="analytics.count_view")
def count_view(sender, session, before, **kwargs):
    ingest.count_view(session, before)
