"""Lookups by id in the sandbox's tables."""

from typing import TypeVar

from django.db.models import Model, QuerySet

from payments.gateways.base import NotThere

Row = TypeVar("Row", bound=Model)


def get(rows: QuerySet[Row], row_id: str) -> Row:
    """Return the row with this id, which may come from an address. Raises NotThere."""
    # PostgreSQL rejects a query whose text holds a NUL character.
    row = rows.filter(pk=row_id).first() if row_id.isprintable() else None
    if row is None:
        raise NotThere(row_id)
    return row
