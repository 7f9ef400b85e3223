from django.apps import AppConfig


class ConfigAppConfig(AppConfig):
    """The parts that all apps share."""

    name = "config"

    def ready(self) -> None:
        from config.doctor import deploy  # noqa: F401 - registers its checks
