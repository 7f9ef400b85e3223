"""Keyset pagination: every page costs the same, and none repeats or loses a row.

DRF's own cursor remembers one column and counts through its ties; a hundred thousand videos with no
views yet are one tie. This cursor remembers the column and the id.
"""

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, Q, QuerySet
from rest_framework.exceptions import ParseError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

PAGE_SIZE = 20
PAGE_SIZE_MAX = 100


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after (or, backwards, before) the row with this value and id."""

    value: Any
    pk: Any
    backwards: bool

    def encode(self) -> str:
        text = json.dumps([self.value, str(self.pk), self.backwards], default=str)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            value, pk, backwards = json.loads(raw)
        except (ValueError, TypeError, RecursionError, binascii.Error):
            raise InvalidCursor from None
        if not isinstance(value, (str, int, float, type(None))) or not isinstance(pk, (str, int)):
            raise InvalidCursor
        return cls(value, pk, bool(backwards))


class InvalidCursor(ParseError):
    default_code = "invalid_cursor"
    default_detail = "This cursor is not one that this list gave out."


class KeysetPagination(BasePagination):
    """``{"next", "previous", "results"}``; ``page_size`` up to 100, larger is clamped.

    A view names what a client may sort by in ``ordering_fields`` ({public name: column}) and its
    own order in ``ordering``. Rows without a value come last in either direction.
    """

    def paginate_queryset(self, queryset: QuerySet, request, view=None) -> list:
        self.url = request.build_absolute_uri()
        size = self._page_size(request)
        self.column, self.descending = self._ordering(request, view)
        self._nullable = queryset.model._meta.get_field(self.column).null
        text = request.query_params.get("cursor")
        cursor = Cursor.decode(text) if text else None
        backwards = bool(cursor and cursor.backwards)
        if cursor:
            queryset = queryset.filter(self._beyond(queryset, cursor))
        rows = list(queryset.order_by(*self._order_by(backwards))[: size + 1])
        more, rows = len(rows) > size, rows[:size]
        if backwards:
            rows.reverse()
        self.next = self._link(rows, -1, False) if (more or backwards) else None
        self.previous = self._link(rows, 0, True) if (more if backwards else cursor) else None
        return rows

    def get_paginated_response(self, data) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict) -> dict:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view) -> list[dict]:
        def parameter(name: str, schema: dict, description: str) -> dict:
            return {"name": name, "in": "query", "schema": schema, "description": description}

        names = sorted(getattr(view, "ordering_fields", {}))
        either = [word for name in names for word in (name, f"-{name}")]
        size = {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE}
        found = [
            parameter("cursor", {"type": "string"}, "From `next` or `previous` of another page."),
            parameter("page_size", size, "Rows a page; larger values are clamped."),
        ]
        if names:
            order = {"type": "string", "enum": either}
            found.append(parameter("ordering", order, "The order; `-` first for descending."))
        return found

    def _page_size(self, request) -> int:
        text = request.query_params.get("page_size", "")
        if not text:
            return PAGE_SIZE
        if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
            raise ParseError("page_size must be a whole number from 1.")
        return min(int(text), PAGE_SIZE_MAX)

    def _ordering(self, request, view) -> tuple[str, bool]:
        allowed = getattr(view, "ordering_fields", {})
        asked = request.query_params.get("ordering") or getattr(view, "ordering", "-id")
        name, descending = asked.removeprefix("-"), asked.startswith("-")
        if name in allowed:
            return allowed[name], descending
        if asked == getattr(view, "ordering", "-id"):
            return name, descending
        raise ParseError(f"ordering must be one of {', '.join(sorted(allowed)) or 'none'}.")

    def _order_by(self, backwards: bool):
        down = self.descending != backwards
        column = F(self.column)
        # NULLs last going forward, so first going back.
        first = column.desc if down else column.asc
        order = first(nulls_first=True) if backwards else first(nulls_last=True)
        tie = F("pk").desc() if down else F("pk").asc()
        return (order if self._nullable else first(), tie)

    def _beyond(self, queryset: QuerySet, cursor: Cursor) -> Q:
        pk, value = self._typed(queryset, cursor)
        down = self.descending != cursor.backwards
        op = "lt" if down else "gt"
        after_pk = Q(**{f"pk__{op}": pk})
        null = Q(**{f"{self.column}__isnull": True})
        if value is None:
            tied = null & after_pk
            return (tied | ~null) if cursor.backwards else tied
        # The first condition says nothing new; it gives the index its range.
        bound = Q(**{f"{self.column}__{op}e": value})
        beyond = bound & (Q(**{f"{self.column}__{op}": value}) | after_pk)
        return beyond if cursor.backwards or not self._nullable else beyond | null

    def _typed(self, queryset: QuerySet, cursor: Cursor):
        meta = queryset.model._meta
        try:
            pk = meta.pk.to_python(cursor.pk)
            value = self._field_value(meta.get_field(self.column), cursor.value)
        except (ValidationError, ValueError, TypeError, OverflowError, FieldDoesNotExist):
            raise InvalidCursor from None
        return pk, value

    def _field_value(self, field, given):
        """What the column can be compared with. Raises ValueError, or as ``to_python`` does."""
        if given is None:
            if not self._nullable:
                raise ValueError
            return None
        value = field.to_python(given)
        if isinstance(value, datetime):
            value = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        if isinstance(value, str) and b"\x00" in value.encode():  # a lone surrogate: ValueError
            raise ValueError
        return value

    def _link(self, rows: list, index: int, backwards: bool) -> str | None:
        if not rows:
            return None
        row = rows[index]
        value = getattr(row, self.column)
        if hasattr(value, "isoformat"):
            value = value.isoformat()
        cursor = Cursor(value, row.pk, backwards)
        return replace_query_param(self.url, "cursor", cursor.encode())
