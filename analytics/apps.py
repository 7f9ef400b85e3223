from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """The app of views, reactions and dashboards."""

    name = "analytics"

    def ready(self):
        from analytics import personal, receivers  # noqa: F401 - importing registers and connects
