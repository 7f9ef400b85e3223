"""Reading the log: audit entries and API requests together, newest first."""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.models import AuditEntry
from audit.requests import ApiRequest, newer_than, older_than
from config.api.pagination import Cursor, KeysetPagination

Line = AuditEntry | ApiRequest


def place(line: Line) -> tuple[datetime, UUID]:
    """Return what the log is sorted by."""
    return line.at, line.id


@dataclass(frozen=True, slots=True)
class Log:
    """The part of the log that a caller has asked for."""

    entries: QuerySet[AuditEntry]
    requests: QuerySet[ApiRequest]

    def newest(self, most: int) -> Iterator[Line]:
        """Yield up to ``most`` lines, read in pieces from both tables."""
        halves: tuple[Iterator[Line], Iterator[Line]] = (
            self.entries.order_by("-at", "-id")[:most].iterator(chunk_size=2000),
            self.requests.order_by("-number")[:most].iterator(chunk_size=2000),
        )
        return itertools.islice(heapq.merge(*halves, key=place, reverse=True), most)


class LogPagination(KeysetPagination):
    """Keyset pages over both tables: one query for each."""

    def paginate_queryset(  # type: ignore[override]  # of two querysets
        self, queryset: Log, request: Request, view: APIView | None = None
    ) -> list[Line]:
        cursor, size = self.read(AuditEntry, request, view)
        entries, requests = queryset.entries, queryset.requests
        backwards = bool(cursor and cursor.backwards)
        descending = self.descending != backwards
        if cursor:
            entries = entries.filter(self._beyond(AuditEntry, cursor))
            requests = requests.filter(self._beyond_in_requests(cursor, descending))
        rows: list[Line] = [
            *entries.order_by(*self._order_by(backwards))[: size + 1],
            *requests.order_by("-number" if descending else "number")[: size + 1],
        ]
        rows.sort(key=place, reverse=descending)
        return self.page(rows[: size + 1], size, cursor)

    def pk_of(self, row: Any) -> object:
        return row.id

    def _beyond_in_requests(self, cursor: Cursor, descending: bool) -> Q:
        pk, at = self._typed(AuditEntry, cursor)
        beyond: Any = older_than if descending else newer_than
        return beyond(at, pk)
