from django.contrib import admin

from audit.models import AuditEntry
from config.admin import ReadOnlyAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Read-only: the database would refuse a change anyway."""

    list_display = ["at", "actor", "action", "method", "path", "status", "target_type", "target_id"]
    list_filter = ["action", "method", "status"]
    search_fields = ["target_id", "request_id", "actor__email"]
    list_select_related = ["actor"]
    date_hierarchy = "at"
