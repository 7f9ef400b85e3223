from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request

from audit import buffer
from audit.filters import AuditFilter
from audit.models import AuditEntry
from audit.permissions import MayReadAudit
from audit.serializers import AuditEntrySerializer
from config.api.csv import csv_response, json_or_csv
from config.api.refusals import sends_headers
from config.api.views import GenericViewSet

CSV_ROWS_MAX = 100_000
CSV_COLUMNS = [
    "id", "at", "actor_id", "action", "method", "path", "status", "target_type", "target_id",
    "ip", "user_agent", "request_id", "duration_ms", "data", "hash",
]  # fmt: skip


class AuditViewSet(ListModelMixin, GenericViewSet[AuditEntry]):
    """The audit log, newest first. The API offers no way to write, change or delete an entry."""

    queryset = AuditEntry.objects.select_related("actor")
    serializer_class = AuditEntrySerializer
    permission_classes = [MayReadAudit]
    filterset_class = AuditFilter
    ordering = "-at"
    ordering_fields = {"at": "at"}

    @extend_schema(
        summary="List the audit log",
        description="What was done and by whom, the newest entry first.",
        parameters=[
            OpenApiParameter(
                "format", str, enum=["csv"], description=f"CSV of at most {CSV_ROWS_MAX} entries."
            )
        ],
        responses=json_or_csv(AuditEntrySerializer(many=True)),
    )
    @sends_headers("Content-Disposition")
    def list(  # type: ignore[override]  # CSV is streamed, which a Response cannot do
        self, request: Request, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        buffer.flush()  # entries that wait in this process belong to the answer
        if request.query_params.get("format") == "csv":
            entries = self.filter_queryset(self.get_queryset()).order_by("-at", "-id")
            rows = entries.values_list(*CSV_COLUMNS)[:CSV_ROWS_MAX].iterator(chunk_size=2000)
            return csv_response("audit", CSV_COLUMNS, rows)
        return super().list(request, *args, **kwargs)
