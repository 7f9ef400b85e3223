from django.apps import AppConfig


class VideosConfig(AppConfig):
    name = "videos"

    def ready(self):
        from videos import checks, receivers  # noqa: F401 - importing them registers their functions
