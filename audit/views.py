from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.mixins import ListModelMixin

from audit import buffer
from audit.filters import AuditFilter
from audit.models import AuditEntry
from audit.permissions import MayReadAudit
from audit.serializers import AuditEntrySerializer
from config.api.csv import csv_response
from config.api.views import GenericViewSet

CSV_ROWS_MAX = 100_000
CSV_COLUMNS = [
    "id", "at", "actor_id", "action", "method", "path", "status", "target_type", "target_id",
    "ip", "user_agent", "request_id", "duration_ms", "data", "hash",
]  # fmt: skip


class AuditViewSet(ListModelMixin, GenericViewSet):
    """The audit log, newest first. Nothing in it can be written, changed or deleted from here."""

    queryset = AuditEntry.objects.select_related("actor")
    serializer_class = AuditEntrySerializer
    permission_classes = [MayReadAudit]
    filterset_class = AuditFilter
    ordering = "-at"
    ordering_fields = {"at": "at"}

    @extend_schema(
        summary="List the audit log",
        parameters=[
            OpenApiParameter(
                "format", str, enum=["csv"], description=f"CSV of at most {CSV_ROWS_MAX} entries."
            )
        ],
    )
    def list(self, request, *args, **kwargs):
        buffer.flush()  # what this process still holds belongs to the answer
        if request.query_params.get("format") == "csv":
            found = self.filter_queryset(self.get_queryset()).order_by("-at", "-id")
            rows = found.values_list(*CSV_COLUMNS)[:CSV_ROWS_MAX].iterator(chunk_size=2000)
            return csv_response("audit", CSV_COLUMNS, rows)
        return super().list(request, *args, **kwargs)
