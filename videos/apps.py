from django.apps import AppConfig
from django.db.models.signals import post_migrate


class VideosConfig(AppConfig):
    name = "videos"

    def ready(self):
        from videos import (
            personal,  # noqa: F401 - importing it registers what exports and erasures do
            receivers,  # importing it connects some of them
        )

        post_migrate.connect(
            receivers.adopt_media_dir, sender=self, dispatch_uid="videos.adopt_media_dir"
        )
