from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


def make_way_for_migrations(sender, using, **kwargs):
    from payments.ledger import protection

    protection.make_way(using)


def protect_ledger(sender, using, **kwargs):
    from payments.ledger import protection

    protection.install(using)


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self):
        from payments import receivers  # noqa: F401 - connects them

        pre_migrate.connect(
            make_way_for_migrations, sender=self, dispatch_uid="payments.make_way_for_migrations"
        )
        post_migrate.connect(protect_ledger, sender=self, dispatch_uid="payments.protect_ledger")
