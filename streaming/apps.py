from django.apps import AppConfig


class StreamingConfig(AppConfig):
    """The app of playback: stream tokens, sessions, heartbeats and delivery."""

    name = "streaming"

    def ready(self):
        from streaming import personal, receivers  # noqa: F401 - importing registers and connects
