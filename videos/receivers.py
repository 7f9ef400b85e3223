"""Reactions of videos to signals."""

from django.dispatch import receiver

from config.signals import health_checked
from videos import storage


@receiver(health_checked, dispatch_uid="videos.state_of_storage")
def state_of_storage(sender, **kwargs):
    """Report MEDIA_DIR when something is wrong with it."""
    state = storage.state()
    return ("storage", state) if state != "ok" else None
