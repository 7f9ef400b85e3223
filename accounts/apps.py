from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # schema registers BearerScheme with drf-spectacular, importing receivers connects them, and
        # personal registers what exports and erasures do
        from accounts import personal, receivers, schema  # noqa: F401
