"""Reactions of videos to signals."""

from django.db import connections
from django.dispatch import receiver

from config.signals import health_checked
from videos import storage
from videos.models import Video


@receiver(health_checked, dispatch_uid="videos.state_of_storage")
def state_of_storage(sender, **kwargs):
    """Report MEDIA_DIR when something is wrong with it."""
    state = storage.state()
    return ("storage", state) if state != "ok" else None


def adopt_media_dir(sender, using, **kwargs):
    """Make MEDIA_DIR after the tables of a new installation. `migrate` may have left out this app."""
    if Video._meta.db_table in connections[using].introspection.table_names():
        storage.adopt()
