from django.apps import AppConfig
from django.db.models.signals import post_migrate

from config import append_only


def protect_entries(sender, using, **kwargs):
    append_only.protect(using, "audit_auditentry", set_once=("position", "hash"))


class AuditAppConfig(AppConfig):
    name = "audit"

    def ready(self):
        post_migrate.connect(protect_entries, sender=self, dispatch_uid="audit.protect_entries")
