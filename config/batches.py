"""Changing many rows in short statements: SQLite has one writer, and the others wait for it."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from config import ordered

SIZE = 500
MOST = 20  # batches of one call: what is left is done by the next call

Row = TypeVar("Row", bound=Model)


def in_batches(rows: "QuerySet[Row, Any]", act: Callable[["QuerySet[Row, Any]"], int]) -> int:
    """Call ``act`` with up to SIZE of the rows, up to MOST times; return the sum of its results.

    ``act`` deletes them, or changes them so that ``rows`` holds them no more. Its queryset keeps the
    conditions of ``rows``: a row that another process has changed in the meantime is left alone. Let it
    call `config.ordered`, because a second worker may do the same work at the same time.
    """
    total = 0
    for _ in range(MOST):
        pks = list(rows.values_list("pk", flat=True)[:SIZE])
        if pks:
            total += act(rows.filter(pk__in=pks).order_by())
        if len(pks) < SIZE:
            break
    return total


def delete(rows: "QuerySet[Row, Any]") -> int:
    """Delete the rows in batches, and return how many were deleted."""
    return in_batches(rows, ordered.delete)
