from datetime import datetime

from django.contrib import admin

from audit.models import AuditEntry
from config.admin import ReadOnlyAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    """The audit log. The database refuses changes, so the page offers none."""

    list_display = [
        "time",
        "actor",
        "action",
        "method",
        "path",
        "status",
        "target_type",
        "target_id",
    ]
    list_filter = ["action", "method", "status"]
    search_fields = ["target_id", "request_id", "actor__email"]
    list_select_related = ["actor"]
    date_hierarchy = "at"

    @admin.display(description="time (UTC)", ordering="-at")
    def time(self, entry: AuditEntry) -> datetime:
        return entry.at
