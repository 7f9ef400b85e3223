from datetime import datetime

from django.contrib import admin

from audit.models import ApiRequest, AuditEntry
from config.admin import ReadOnlyAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    """The audit log without API requests. The database refuses changes, so the page offers none."""

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


@admin.register(ApiRequest)
class ApiRequestAdmin(ReadOnlyAdmin[ApiRequest]):
    """The API requests of the last AUDIT_ACTIVITY_DAYS."""

    list_display = ["time", "who", "method", "path", "status", "address", "duration_ms", "count"]
    list_filter = ["method", "status"]
    list_select_related = ["caller__actor"]
    ordering = ["-number"]
    fields = [
        "time", "who", "method", "path", "status", "address", "user_agent", "duration_ms",
        "request_id", "count", "until",
    ]  # fmt: skip

    @admin.display(description="time (UTC)", ordering="-number")
    def time(self, line: ApiRequest) -> datetime:
        return line.at

    @admin.display(description="actor", empty_value="-")
    def who(self, line: ApiRequest) -> object:
        return line.actor or line.actor_id

    @admin.display(description="IP address")
    def address(self, line: ApiRequest) -> str | None:
        return line.ip

    @admin.display(description="user agent")
    def user_agent(self, line: ApiRequest) -> str:
        return line.user_agent
