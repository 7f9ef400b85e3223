from django.apps import AppConfig
from django.db.models.signals import post_migrate


def protect_ledger(sender, using, **kwargs):
    from payments.ledger import protection

    protection.install(using)


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self):
        from payments import receivers  # noqa: F401 - connects them

        post_migrate.connect(protect_ledger, sender=self, dispatch_uid="payments.protect_ledger")
