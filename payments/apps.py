from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


def make_way_for_migrations(sender: AppConfig, using: str, **kwargs: object) -> None:
    """Take down the triggers that would stop a migration, before it runs."""
    from payments.ledger import protection

    protection.make_way(using)


def protect_ledger(sender: AppConfig, using: str, **kwargs: object) -> None:
    """Put the triggers that protect the ledger in place, after every migration."""
    from payments.ledger import protection

    protection.install(using)


class PaymentsConfig(AppConfig):
    """The app of money: orders, payments, subscriptions, the ledger, payouts and the gateways."""

    name = "payments"

    def ready(self) -> None:
        from payments import personal, receivers  # noqa: F401 - registers and connects them

        pre_migrate.connect(
            make_way_for_migrations, sender=self, dispatch_uid="payments.make_way_for_migrations"
        )
        post_migrate.connect(protect_ledger, sender=self, dispatch_uid="payments.protect_ledger")
