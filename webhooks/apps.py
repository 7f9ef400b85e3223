from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """The app of outgoing webhooks: endpoints, the events that they are told of, and deliveries."""

    name = "webhooks"

    def ready(self) -> None:
        from webhooks import personal, receivers  # noqa: F401 - importing registers and connects
