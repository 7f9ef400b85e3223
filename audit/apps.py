from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from config import append_only


def protect_entries(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Create the triggers again: a migration of the table removes them on SQLite."""
    append_only.protect(using, "audit_auditentry", set_once=("position", "hash"))


class AuditAppConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        post_migrate.connect(protect_entries, sender=self, dispatch_uid="audit.protect_entries")
