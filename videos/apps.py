from django.apps import AppConfig


class VideosConfig(AppConfig):
    name = "videos"

    def ready(self):
        from videos import receivers  # noqa: F401 - importing it connects them
