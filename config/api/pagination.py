"""Keyset pagination: every page costs the same, and a walk visits every row exactly once.

The cursor remembers a column's value and the row's id. REST framework's own cursor remembers only the
value and counts through rows with equal values; a hundred thousand videos without a view are equal.
"""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import F, Field, Model, Q, QuerySet
from django.db.models.expressions import OrderBy
from rest_framework.exceptions import ParseError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

PAGE_SIZE = 20
PAGE_SIZE_MAX = 100

Table = TypeVar("Table", bound=Model)
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place where a page begins: after the row with this value and id, or before it (backwards)."""

    value: str | int | float | None
    pk: object
    backwards: bool

    def encode(self) -> str:
        text = json.dumps([self.value, str(self.pk), self.backwards], default=str)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Return the cursor of a query parameter. Raises InvalidCursor."""
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
    default_detail = "This cursor does not belong to this list. Start again without a cursor."


class KeysetPagination(BasePagination):
    """A pagination of ``{"next", "previous", "results"}`` with at most 100 rows a page.

    The view lists the orders that a client may choose in ``ordering_fields`` ({public name: column}) and
    its default order in ``ordering``. Rows without a value come last in either direction.
    """

    url: str
    column: str
    descending: bool
    next: str | None
    previous: str | None
    _field: "Field[Any, Any]"

    def paginate_queryset(
        self,
        queryset: QuerySet[Table, Row] | Sequence[Row],
        request: Request,
        view: APIView | None = None,
    ) -> list[Row]:
        """Return the rows of one page. Raises ParseError for a wrong parameter (400)."""
        if not isinstance(queryset, QuerySet):
            raise TypeError("Only a queryset can be paginated by a keyset.")
        cursor, size = self.read(queryset.model, request, view)
        backwards = bool(cursor and cursor.backwards)
        ordered = queryset.order_by(*self._order_by(backwards))
        rows: list[Row] = []
        for part in self._parts(queryset.model, cursor):
            rows += ordered.filter(part)[: size + 1 - len(rows)]
            if len(rows) > size:
                break
        return self.page(rows, size, cursor)

    def _parts(self, model: type[Model], cursor: Cursor | None) -> list[Q]:
        """Return the conditions of the statements that read a page, one after the other.

        Rows without a value are read by a statement of their own: an index of PostgreSQL has them at one
        end, which is not the end of the list in both directions.
        """
        beyond = self._beyond(model, cursor) if cursor else Q()
        if not self._field.null:
            return [beyond]
        absent = Q(**{f"{self.column}__isnull": True})
        if cursor is None:
            return [~absent, absent]
        if cursor.value is None:
            return [beyond & absent, ~absent] if cursor.backwards else [beyond & absent]
        return [beyond] if cursor.backwards else [beyond, absent]

    def read(
        self, model: type[Model], request: Request, view: APIView | None
    ) -> tuple[Cursor | None, int]:
        """Read the parameters: return the cursor and the size of the page. Raises ParseError."""
        self.url = request.build_absolute_uri()
        size = self._page_size(request)
        self.column, self.descending = self._ordering(request, view)
        field = model._meta.get_field(self.column)
        if not isinstance(field, Field):
            raise TypeError(f"{self.column} is not a column of {model.__name__}.")
        self._field = field
        text = request.query_params.get("cursor")
        return (Cursor.decode(text) if text else None), size

    def page(self, rows: list[Row], size: int, cursor: Cursor | None) -> list[Row]:
        """Return the page, and note its links. ``rows`` may hold one row more, in the query's order."""
        backwards = bool(cursor and cursor.backwards)
        more, rows = len(rows) > size, rows[:size]
        if backwards:
            rows.reverse()
        self.next = self._link(rows, -1, False) if (more or backwards) else None
        self.previous = self._link(rows, 0, True) if (more if backwards else cursor) else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        # The examples of lists are those of their rows, on the only page.
        link = {"type": ["string", "null"], "format": "uri", "example": None}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the query parameters for the OpenAPI document."""

        def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
            return {"name": name, "in": "query", "schema": schema, "description": description}

        names = sorted(getattr(view, "ordering_fields", {}))
        orders = [order for name in names for order in (name, f"-{name}")]
        size = {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE}
        parameters = [
            parameter("cursor", {"type": "string"}, "From `next` or `previous` of another page."),
            parameter("page_size", size, f"Rows a page; a larger number means {PAGE_SIZE_MAX}."),
        ]
        if orders:
            order = {"type": "string", "enum": orders}
            parameters.append(
                parameter("ordering", order, "The order; a leading `-` makes it descending.")
            )
        return parameters

    def _page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", "")
        if not text:
            return PAGE_SIZE
        if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
            raise ParseError("page_size must be a whole number from 1.")
        return min(int(text), PAGE_SIZE_MAX)

    def _ordering(self, request: Request, view: APIView | None) -> tuple[str, bool]:
        """Return the column to sort by, and whether the order is descending."""
        allowed: dict[str, str] = getattr(view, "ordering_fields", {})
        default: str = getattr(view, "ordering", "-id")
        order = request.query_params.get("ordering") or default
        name, descending = order.removeprefix("-"), order.startswith("-")
        if name in allowed:
            return allowed[name], descending
        if order == default:
            return name, descending
        raise ParseError(f"ordering must be one of {', '.join(sorted(allowed)) or 'none'}.")

    def _order_by(self, backwards: bool) -> tuple[OrderBy, OrderBy]:
        down = self.descending != backwards
        return (
            (F(self.column).desc(), F("pk").desc())
            if down
            else (F(self.column).asc(), F("pk").asc())
        )

    def _beyond(self, model: type[Model], cursor: Cursor) -> Q:
        """Return the condition for the rows after the cursor, or before it if it goes backwards.

        Only for those that have a value as it has one, or have none as it has none.
        """
        pk, value = self._typed(model, cursor)
        op = "lt" if self.descending != cursor.backwards else "gt"
        after_pk = Q(**{f"pk__{op}": pk})
        if value is None:
            return after_pk
        # The bound follows from the second condition, but only with it the database uses the index.
        bound = Q(**{f"{self.column}__{op}e": value})
        return bound & (Q(**{f"{self.column}__{op}": value}) | after_pk)

    def _typed(self, model: type[Model], cursor: Cursor) -> tuple[object, object]:
        """Return the cursor's id and value as the database compares them. Raises InvalidCursor."""
        try:
            return model._meta.pk.to_python(cursor.pk), self._field_value(cursor.value)
        except (ValidationError, ValueError, TypeError, OverflowError):
            raise InvalidCursor from None

    def _field_value(self, given: str | int | float | None) -> object:
        """Return a value of the cursor in the type of the column.

        Raises ValueError for a value that the database could not compare, and the errors of the field's
        ``to_python``.
        """
        if given is None:
            if not self._field.null:
                raise ValueError
            return None
        value = self._field.to_python(given)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        if isinstance(value, str) and b"\x00" in value.encode():  # ValueError for a lone surrogate
            raise ValueError
        return value

    def pk_of(self, row: Any) -> object:
        """Return what distinguishes rows of one value."""
        return row.pk

    def _link(self, rows: Sequence[object], index: int, backwards: bool) -> str | None:
        """Return the address of the page that begins at a row, or None without rows."""
        if not rows:
            return None
        row: Any = rows[index]
        value = getattr(row, self.column)
        if hasattr(value, "isoformat"):
            value = value.isoformat()
        cursor = Cursor(value, self.pk_of(row), backwards)
        return replace_query_param(self.url, "cursor", cursor.encode())
