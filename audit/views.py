from contextlib import suppress
from typing import Any

from django.db import DatabaseError
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request

from audit import buffer
from audit.filters import AuditFilter, RequestFilter
from audit.models import ApiRequest, AuditEntry
from audit.permissions import MayReadAudit
from audit.reading import Log, LogPagination
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
    """The log, newest first: audit entries, which are kept, and API requests, which are forgotten.

    The API offers no way to write, change or delete a line.
    """

    queryset = AuditEntry.objects.prefetch_related("actor")
    serializer_class = AuditEntrySerializer
    permission_classes = [MayReadAudit]
    filterset_class = AuditFilter
    pagination_class = LogPagination
    ordering = "-at"
    ordering_fields = {"at": "at"}

    @extend_schema(
        summary="List the audit log",
        description=(
            "What was done and by whom, the newest entry first. Changes are kept for good, in a chain"
            " of hashes. API requests (`action=api.request`) have no `hash`, and are forgotten after"
            " the days that the operator has set. Heartbeats, and requests of a caller who makes very"
            " many, are counted: one entry stands for those of an hour, with `count` and `until` (the"
            " last of them) in `data`, the first one's time in `at`, and * in `path` for what varies."
            " An unknown filter is refused with 400."
        ),
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
        _refuse_unknown(request)
        with suppress(DatabaseError):  # reading does not need a database that can be written
            buffer.flush(patience=1)  # what waits in this process belongs to the answer
        log = self.log(request)
        if request.query_params.get("format") == "csv":
            rows = (
                [getattr(line, name) for name in CSV_COLUMNS] for line in log.newest(CSV_ROWS_MAX)
            )
            return csv_response("audit", CSV_COLUMNS, rows)
        pages = LogPagination()
        page = pages.paginate_queryset(log, request, view=self)
        return pages.get_paginated_response(self.get_serializer(page, many=True).data)

    def log(self, request: Request) -> Log:
        """Return the lines that the filters let through. Raises ValidationError for a wrong value."""
        entries = self.filter_queryset(self.get_queryset())
        requests = ApiRequest.objects.prefetch_related("caller__actor")
        wanted = RequestFilter(request.query_params, requests, request=request)
        return Log(entries, wanted.qs, wanted.callers())


def _refuse_unknown(request: Request) -> None:
    """Raise ParseError for a query parameter that the list does not have.

    A misspelt filter would otherwise show the whole log as if it were the answer.
    """
    known = {*AuditFilter.get_filters(), "cursor", "page_size", "ordering"}
    if unknown := sorted(set(request.query_params) - known):
        raise ParseError(
            f"There is no filter {unknown[0][:40]!r}. The filters are {', '.join(sorted(known))}."
        )
