"""Reactions of videos to signals."""

from django.db import connections
from django.dispatch import receiver

from config.signals import health_checked
from videos import engines, storage
from videos.models import Video
from videos.presentation import refreshing
from videos.signals import video_published


@receiver(health_checked, dispatch_uid="videos.state_of_storage")
def state_of_storage(sender, **kwargs):
    """Report MEDIA_DIR when something is wrong with it."""
    state = storage.state()
    return ("storage", state) if state != "ok" else None


@receiver(health_checked, dispatch_uid="videos.state_of_broker")
def state_of_broker(sender, **kwargs):
    """Report the broker of QUEUE_ENGINE=celery when it is away: jobs are accepted, and wait for it."""
    return ("broker", "unavailable") if engines.current().fault() else None


@receiver(video_published, dispatch_uid="videos.present_version")
def present_version(sender, video, **kwargs):
    """Give a new version the video's captions, chapters and labels, right after its publication."""
    refreshing.mark(video, source=video.source_path)


def adopt_media_dir(sender, using, **kwargs):
    """Make MEDIA_DIR after the tables of a new installation. `migrate` may have left out this app."""
    if Video._meta.db_table in connections[using].introspection.table_names():
        storage.adopt()
