"""Reading the log: audit entries and API requests together, newest first."""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.models import AuditEntry
from audit.requests import ApiRequest, Caller, first_number, newer_than, older_than
from config.api.pagination import Cursor, KeysetPagination

Line = AuditEntry | ApiRequest
PIECE = 2000  # rows in memory
NAMED = 500  # callers in the text of a query


def place(line: Line) -> tuple[datetime, UUID]:
    """Return what the log is sorted by."""
    return line.at, line.id


@dataclass(frozen=True, slots=True)
class Log:
    """The part of the log that a caller has asked for.

    ``callers`` are those whose requests are wanted, or None for the requests of all.
    """

    entries: QuerySet[AuditEntry]
    requests: QuerySet[ApiRequest]
    callers: QuerySet[Caller] | None

    def newest(self, most: int) -> Iterator[Line]:
        """Yield up to ``most`` lines without their actors, read in pieces from both tables."""
        plain = Log(
            self.entries.prefetch_related(None),
            self.requests.prefetch_related(None).select_related("caller"),
            self.callers,
        )
        entries = plain.entries.order_by("-at", "-id")[:most].iterator(chunk_size=PIECE)
        halves: tuple[Iterator[Line], Iterator[Line]] = (entries, plain.in_order(most))
        return itertools.islice(heapq.merge(*halves, key=place, reverse=True), most)

    def in_order(self, most: int, *, descending: bool = True) -> Iterator[ApiRequest]:
        """Yield up to ``most`` requests.

        Those of some callers are read by one day, two, four and so on: a caller is of one day, and has
        all its requests in it. One query would sort all that the callers ever did, or look for it
        among the requests of all others.
        """
        order = "-number" if descending else "number"
        if self.callers is None:
            yield from self.requests.order_by(order)[:most].iterator(chunk_size=PIECE)
            return
        days = self.callers.order_by("-day" if descending else "day").values_list("day", flat=True)
        # By an expression: in the order of its key, PostgreSQL would look through the requests of all.
        by_time = F("number") + 0
        in_order = by_time.desc() if descending else by_time.asc()
        remaining, number = list(days.distinct()), 1
        while remaining and most > 0:
            some, remaining = remaining[:number], remaining[number:]
            first, last = min(some), max(some)
            callers = self.callers.filter(day__range=(first, last)).values_list("number", flat=True)
            named = list(callers[: NAMED + 1])
            requests = self.requests.filter(
                # PostgreSQL knows how many requests there are of callers that it is told.
                caller__in=named if len(named) <= NAMED else callers,
                number__gte=first_number(_midnight(first)),
                number__lt=first_number(_midnight(last + timedelta(days=1))),
            )
            for request in requests.order_by(in_order)[:most].iterator(chunk_size=PIECE):
                yield request
                most -= 1
            number *= 2


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


class LogPagination(KeysetPagination):
    """Keyset pages over both tables: one query for each, and a few more for the days of callers."""

    def paginate_queryset(  # type: ignore[override]  # of two querysets
        self, queryset: Log, request: Request, view: APIView | None = None
    ) -> list[Line]:
        cursor, size = self.read(AuditEntry, request, view)
        backwards = bool(cursor and cursor.backwards)
        descending = self.descending != backwards
        log = self._after(queryset, cursor, descending) if cursor else queryset
        rows: list[Line] = [
            *log.entries.order_by(*self._order_by(backwards))[: size + 1],
            *log.in_order(size + 1, descending=descending),
        ]
        rows.sort(key=place, reverse=descending)
        return self.page(rows[: size + 1], size, cursor)

    def pk_of(self, row: Any) -> object:
        return row.id

    def _after(self, log: Log, cursor: Cursor, descending: bool) -> Log:
        """Return the part of the log that follows the cursor in this direction."""
        pk, at = self._typed(AuditEntry, cursor)
        beyond: Any = older_than if descending else newer_than
        callers = log.callers
        if callers is not None:
            day = at.date()  # type: ignore[attr-defined]  # what _typed returns for this column
            callers = callers.filter(**{"day__lte" if descending else "day__gte": day})
        return Log(
            log.entries.filter(self._beyond(AuditEntry, cursor)),
            log.requests.filter(beyond(at, pk)),
            callers,
        )
