from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


def make_way_for_migrations(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Drop the trigger that would stop a migration, before it runs."""
    from audit import protection

    protection.make_way(using)


def prepare_log(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Make partitions, triggers and the first checkpoint after migrations; a new log needs all three."""
    from django.db import connections

    from audit import checkpoints, partitions, protection

    # `migrate audit 0004` goes back to a log without them.
    if protection.CHECKPOINTS in connections[using].introspection.table_names():
        partitions.make_ahead(using)
        protection.install(using)
        checkpoints.begin()


class AuditAppConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import personal  # noqa: F401 - registers what exports and erasures do

        pre_migrate.connect(
            make_way_for_migrations, sender=self, dispatch_uid="audit.make_way_for_migrations"
        )
        post_migrate.connect(prepare_log, sender=self, dispatch_uid="audit.prepare_log")
