from django.apps import AppConfig


class VideosConfig(AppConfig):
    name = "videos"

    def ready(self):
        from videos import checks  # noqa: F401 - importing it registers the checks
