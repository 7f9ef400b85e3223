from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # schema registers BearerScheme with drf-spectacular, and importing receivers connects them
        from accounts import receivers, schema  # noqa: F401
