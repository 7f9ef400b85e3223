"""Whole rows, read and written by SQL that is made once: for the busiest writers.

Each of these does what the ORM does, in a fraction of its time, without the signals around it, to which
nothing here listens.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.expressions import DatabaseDefault

from config.driver_values import Adapt, adapting, plain
from config.prepared import Prepared, Update, quoted_column, run, run_once, stored

Row = TypeVar("Row", bound=models.Model)
FEW = 4  # rows of one insert that PostgreSQL prepares


class Rows(Generic[Row]):
    """The objects of a queryset that is run often, each time with other values; see `Prepared`."""

    def __init__(
        self,
        make: Callable[..., "QuerySet[Row]"],
        model: type[Row],
        *,
        joined: str = "",
        **kinds: type,
    ) -> None:
        """``joined`` names a foreign key that is never empty, whose row is read, too."""
        self._model, self._joined, self._names = model, joined, _names(model)
        self._other: Any = model._meta.get_field(joined).related_model if joined else None
        columns = [*self._names]
        if joined:
            columns += [f"{joined}__{name}" for name in _names(self._other)]
        self._prepared = Prepared(lambda **values: make(**values).values_list(*columns), **kinds)

    def all(self, **values: object) -> list[Row]:
        """Run the query, and return its objects."""
        return [self._object(found) for found in self._prepared.rows(**values)]

    def _object(self, found: Sequence[Any]) -> Row:
        row = stored(self._model, self._names, found)
        if self._joined:
            other = stored(self._other, _names(self._other), found[len(self._names) :])
            row._state.fields_cache[self._joined] = other
        return row

    def first(self, **values: object) -> Row | None:
        """Run the query, which has at most one row, and return its object."""
        found = self.all(**values)
        return found[0] if found else None

    def get(self, **values: object) -> Row:
        """Return the one object. Raises DoesNotExist."""
        found = self.first(**values)
        if found is None:
            missing: type[ObjectDoesNotExist] = self._model.DoesNotExist  # type: ignore[attr-defined]
            raise missing(f"{self._model.__name__} does not exist.")
        return found


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def insert(*rows: models.Model, ignore_conflicts: bool = False, update: Sequence[str] = ()) -> int:
    """Insert new rows of one table, as `bulk_create` does: a statement for each 999 values on SQLite.

    Rows whose unique columns are taken are left out with ``ignore_conflicts``; with ``update``, the row
    of the same key takes these fields over. Returns the number of rows that were written. What the
    database makes, a key or another default, is not read back. Raises IntegrityError.
    """
    model, connection = type(rows[0]), connections[DEFAULT_DB_ALIAS]
    made = _made(rows[0])
    if any(_made(row) != made for row in rows[1:]):
        raise TypeError(f"The database makes {', '.join(made)} for all of these rows, or for none.")
    head, places, columns = _insert(model, connection.vendor, made)
    end = _conflict(model, update) if update or ignore_conflicts else ""
    size = max(1, (connection.features.max_query_params or 10_000) // len(columns))
    written = 0
    values = [_values(row, columns, connection) for row in rows]
    with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS):
        for start in range(0, len(rows), size):
            part = values[start : start + size]
            sql = f"{head}{', '.join([places] * len(part))}{end}"
            # A number of rows that seldom comes again is not worth a prepared statement.
            execute = run if len(part) <= FEW else run_once
            written += execute(connection, sql, list(itertools.chain(*part)))[1]
    _are_stored(rows)
    return written


def insert_together(*rows: models.Model) -> None:
    """Insert new rows of different tables, all of them or none. Raises IntegrityError.

    They are one statement on PostgreSQL, without a transaction around it. No row may need another one
    to be there, except by a foreign key, which the database checks at the end.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        parts, params = [], []
        for row in rows:
            head, places, columns = _insert(type(row), connection.vendor, _made(row))
            parts.append(head + places)
            params += _values(row, columns, connection)
        others = ", ".join(f"row{number} AS ({part})" for number, part in enumerate(parts[:-1]))
        together = connection.run_prepared(f"WITH {others} {parts[-1]}", params)  # type: ignore[attr-defined]
        if together is not None:
            _are_stored(rows)
            return
    with transaction.atomic():
        for row in rows:
            insert(row)


def _are_stored(rows: Sequence[models.Model]) -> None:
    for row in rows:
        row._state.db, row._state.adding = DEFAULT_DB_ALIAS, False


class _Column(NamedTuple):
    """How a value of a field becomes one of the driver: one of the type ``plain``, and None, are it."""

    field: Any
    name: str
    plain: type | None
    is_set_before: bool  # by the field itself, as auto_now does
    prepare: Adapt


def _values(
    row: models.Model, columns: Sequence[_Column], connection: BaseDatabaseWrapper
) -> list[Any]:
    """Return a new row's values for the driver."""
    values = []
    for field, name, as_it_is, is_set_before, prepare in columns:
        value = field.pre_save(row, True) if is_set_before else getattr(row, name)
        if value is not None and type(value) is not as_it_is:
            if hasattr(value, "as_sql"):
                raise TypeError(
                    f"{field} is an expression: use the manager of {type(row).__name__}."
                )
            value = prepare(value, connection)
        values.append(value)
    return values


def _conflict(model: type[models.Model], update: Sequence[str]) -> str:
    if not update:
        return " ON CONFLICT DO NOTHING"
    connection = connections[DEFAULT_DB_ALIAS]
    columns = [quoted_column(model._meta.get_field(name), connection) for name in update]
    sets = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f" ON CONFLICT ({quoted_column(model._meta.pk, connection)}) DO UPDATE SET {sets}"


def _made(row: models.Model) -> tuple[str, ...]:
    """Return the names of the fields of a new row that the database makes."""
    names = _defaults(type(row))
    made = [name for name in names if isinstance(getattr(row, name), DatabaseDefault)]
    return (row._meta.pk.attname, *made) if row.pk is None else (*made,)


@cache
def _defaults(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields if field.has_db_default()]


@cache
def _insert(
    model: type[models.Model], vendor: str, made: tuple[str, ...]
) -> tuple[str, str, Sequence[_Column]]:
    connection = connections[DEFAULT_DB_ALIAS]
    fields = [field for field in model._meta.concrete_fields if field.attname not in made]
    names = ", ".join(quoted_column(field, connection) for field in fields)
    head = f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} ({names}) VALUES "  # noqa: S608 - of columns
    columns = [
        _Column(
            field,
            field.attname,
            plain(field, connection),
            type(field).pre_save is not models.Field.pre_save,
            adapting(field, connection),
        )
        for field in fields
    ]
    return head, f"({', '.join(['%s'] * len(fields))})", columns


def save(row: models.Model, *names: str) -> None:
    """Store fields as ``save(update_fields=names)`` does. Raises DatabaseError if the row is gone."""
    fields: dict[str, Any] = {name: row._meta.get_field(name) for name in names}
    values = {name: field.pre_save(row, False) for name, field in fields.items()}
    with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS):
        if not _update(type(row)).write([row.pk], values):
            raise DatabaseError(f"{type(row).__name__} {row.pk} is not stored any more.")


@cache
def _update(model: type[models.Model]) -> Update:
    return Update(model, unchanged=[])
