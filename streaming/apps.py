from django.apps import AppConfig


class StreamingConfig(AppConfig):
    name = "streaming"

    def ready(self):
        from streaming import receivers  # noqa: F401 - connects them
