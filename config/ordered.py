"""Changing and deleting many rows at once, in the order of their ids (`docs/locking.md`).

An UPDATE or DELETE of PostgreSQL visits its rows in no fixed order. Two of them that meet on the same
rows can therefore wait for each other, and PostgreSQL ends one of them with an error. The functions
here lock the rows by their ids first. SQLite has one writer at a time, so that they add no query there.
"""

from typing import Any, TypeVar

from django.db import connections, transaction
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def update(rows: "QuerySet[Row, Any]", **values: Any) -> int:
    """Change the rows as ``rows.update(**values)`` does, locked by id; return how many were changed.

    Rows that another transaction adds to ``rows`` meanwhile are left for the next call.
    """
    if not _has_row_locks(rows):
        return rows.order_by().update(**values)
    with transaction.atomic(using=rows.db, savepoint=False):
        return _locked(rows, no_key=True).update(**values)


def delete(rows: "QuerySet[Row, Any]") -> int:
    """Delete the rows and what hangs on them, locked by id; return how many rows were deleted in all."""
    if not _has_row_locks(rows):
        return rows.order_by().delete()[0]
    with transaction.atomic(using=rows.db, savepoint=False):
        return _locked(rows, no_key=False).delete()[0]


def lock(rows: "QuerySet[Row, Any]") -> None:
    """Lock the rows by id for the open transaction, which changes some of them one after the other."""
    if _has_row_locks(rows):
        _locked(rows, no_key=True)


def _has_row_locks(rows: "QuerySet[Row, Any]") -> bool:
    return connections[rows.db].features.has_select_for_update


def _locked(rows: "QuerySet[Row, Any]", *, no_key: bool) -> "QuerySet[Row, Any]":
    """Lock the rows by id, and return the queryset of those that still meet its conditions."""
    in_order = rows.select_for_update(of=("self",), no_key=no_key).order_by("pk").only("pk")
    return rows.filter(pk__in=[row.pk for row in in_order]).order_by()
