"""Queries that are compiled once: making the SQL of a queryset costs more than the answer to it."""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.base import ModelState

from config.driver_values import Adapt, adapting

Row = TypeVar("Row", bound=models.Model)
# Makes rows with the values of the ORM from rows of the driver.
Converting = Callable[[list[Sequence[Any]]], list[Sequence[Any]]]

_FIELDS: dict[type, "models.Field[Any, Any]"] = {
    uuid.UUID: models.UUIDField(),
    datetime: models.DateTimeField(),
    str: models.TextField(),
}


class Prepared:
    """A query that each thread compiles at its first use, and then runs with other values.

    ``make`` gets a value for each parameter and returns a queryset of ``values_list``; ``kinds`` names
    the parameters with their types, `uuid.UUID`, `datetime` or `str`. The values must not change the
    query's shape: the parameter None, for example, would be another condition. What ``make`` reads
    beside them, such as a setting, is read once. A value that ``make`` makes from one of theirs would
    be read once, too: it is refused with TypeError.
    """

    def __init__(self, make: Callable[..., "QuerySet[Any, Any]"], **kinds: type) -> None:
        self._make, self._kinds = make, kinds
        self._thread = threading.local()

    def rows(self, **values: object) -> list[Sequence[Any]]:
        """Run the query, and return its rows with the values that the ORM would give."""
        found, convert = self.found(**values)
        return convert(found)

    def found(self, **values: object) -> tuple[list[Sequence[Any]], Converting]:
        """Run the query, and return its rows as the driver gives them, and what `rows` makes of them."""
        try:
            alias, sql, places, convert = self._thread.compiled
        except AttributeError:
            alias, sql, places, convert = self._thread.compiled = self._compile()
        connection = connections[alias]
        params = [
            prepare(values[place], connection) if prepare else place for prepare, place in places
        ]
        return run(connection, sql, params)[0], convert

    def _compile(self) -> tuple[Any, ...]:
        """Compile the query with stand-ins for the values, and find them among its parameters."""
        stand_ins, compiler, sql, params = self._compiled_with(0)
        _, _, _, others = self._compiled_with(len(self._kinds))
        prepare = {
            name: _preparing(kind, compiler.connection) for name, kind in self._kinds.items()
        }
        names = {
            prepare[name](value, compiler.connection): name for name, value in stand_ins.items()
        }
        places = [
            (prepare[names[param]], names[param]) if param in names else (None, param)
            for param in params
        ]
        for (is_parameter, place), other in zip(places, others, strict=True):
            if not is_parameter and place != other:
                raise TypeError(f"{place} is made from a parameter of {self._kinds}: {sql}")
        if {place for is_parameter, place in places if is_parameter} != {*self._kinds}:
            raise TypeError(f"A parameter of {self._kinds} is not in the query: {sql}")
        convert = converting(compiler)
        if compiler.connection.vendor == "postgresql":
            sql, places = _with_constants(sql, places, compiler.connection)
        return compiler.using, sql, places, convert

    def _compiled_with(self, first: int) -> tuple[dict[str, Any], Any, str, Sequence[Any]]:
        """Return stand-ins with numbers from ``first`` on, and what the query is with them."""
        stand_ins = {
            name: _stand_in(kind, number)
            for number, (name, kind) in enumerate(self._kinds.items(), first)
        }
        queryset = self._make(**stand_ins)
        compiler = queryset.query.get_compiler(using=queryset.db)
        return stand_ins, compiler, *compiler.as_sql()


class Update:
    """An UPDATE of one row, if columns of it are still as they were read.

    Compiled once for each database and choice of columns. As `QuerySet.update`, without signals.
    """

    def __init__(self, model: type[models.Model], unchanged: Sequence[str]) -> None:
        self._model, self._unchanged = model, [_field(model, name) for name in unchanged]
        self._compiled: dict[tuple[str, ...], tuple[str, list[Adapt]]] = {}

    def seen(self, row: models.Model) -> list[Any]:
        """Return the key of a row that was read, and the values that `write` compares with the row."""
        return [row.pk, *(getattr(row, field.attname) for field in self._unchanged)]

    def write(self, seen: Sequence[Any], changes: Mapping[str, object]) -> bool:
        """Store the changes of a row's columns. Return False if the row is gone or was changed."""
        connection = connections[DEFAULT_DB_ALIAS]
        key = (connection.vendor, *changes)
        sql, adapts = self._compiled.get(key) or self._compile(connection, key)
        params = [
            adapt(value, connection) if value is not None else None
            for adapt, value in zip(adapts, (*changes.values(), *seen), strict=True)
        ]
        return run(connection, sql, params)[1] == 1

    def _compile(
        self, connection: BaseDatabaseWrapper, key: tuple[str, ...]
    ) -> tuple[str, list[Adapt]]:
        changed = [_field(self._model, name) for name in key[1:]]
        # Either of them also compares NULL with NULL.
        same = "IS" if connection.vendor == "sqlite" else "IS NOT DISTINCT FROM"
        sets = ", ".join(f"{quoted_column(field, connection)} = %s" for field in changed)
        pk = self._model._meta.pk
        holds = [
            f"{quoted_column(pk, connection)} = %s",
            *(f"{quoted_column(each, connection)} {same} %s" for each in self._unchanged),
        ]
        table = connection.ops.quote_name(self._model._meta.db_table)
        sql = f"UPDATE {table} SET {sets} WHERE {' AND '.join(holds)}"  # noqa: S608 - of columns
        fields = [*changed, pk, *self._unchanged]
        self._compiled[key] = sql, [adapting(field, connection) for field in fields]
        return self._compiled[key]


def run(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> tuple[list[Any], int]:
    """Run a statement that is run often with other values. Return its rows, and how many it is about.

    PostgreSQL parses it once for each connection (`config.postgresql`), and SQLite gets it from the
    driver (`config.sqlite3`).
    """
    run_prepared = getattr(connection, "run_prepared", None)
    if run_prepared is not None:
        answer: tuple[list[Any], int] | None = run_prepared(sql, params)
        if answer is not None:
            return answer
    return run_once(connection, sql, params)


def run_once(
    connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]
) -> tuple[list[Any], int]:
    """Do the same for a statement that seldom comes again."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return (cursor.fetchall() if cursor.description else []), cursor.rowcount


def _with_constants(
    sql: str, places: list[tuple[Any, Any]], connection: BaseDatabaseWrapper
) -> tuple[str, list[tuple[Any, Any]]]:
    """Write the values that never change into a query, with which PostgreSQL makes a better plan."""
    from psycopg import sql as literals

    connection.ensure_connection()
    texts = sql.split("%s")
    given = [
        "%s"
        if prepare
        else literals.Literal(value).as_string(connection.connection).replace("%", "%%")
        for prepare, value in places
    ]
    whole = texts[0] + "".join(map("".join, zip(given, texts[1:], strict=True)))
    return whole, [place for place in places if place[0]]


def converting(compiler: Any) -> Converting:
    """Return what a compiled query does with the rows of the driver."""
    converters = compiler.get_converters([column for column, *_ in compiler.select])
    if not converters:
        return lambda rows: rows
    return lambda rows: list(compiler.apply_converters(rows, converters))


def _preparing(kind: type, connection: BaseDatabaseWrapper) -> Adapt:
    """Return the function that makes a value of a parameter one of the driver.

    An id that the driver has given may be asked for as it is.
    """
    if kind is uuid.UUID and not connection.features.has_native_uuid_field:
        return lambda value, _: value if type(value) is str else value.hex
    return adapting(_FIELDS[kind], connection)


def quoted_column(field: Any, connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(field.column)


def _field(model: type[models.Model], name: str) -> "models.Field[Any, Any]":
    field: models.Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]
    return field


def stored(model: type[Row], names: Sequence[str], values: Sequence[Any]) -> Row:
    """Return the object of a row that has these columns first; the others are read when they are used.

    As `Model.from_db`, without the signals around ``__init__``, which nothing here listens to: they
    cost several times as much as the object.
    """
    row = model.__new__(model)
    row.__dict__.update(zip(names, values, strict=False))
    row._state = ModelState()
    row._state.db, row._state.adding = DEFAULT_DB_ALIAS, False
    return row


def new(model: type[Row], **values: Any) -> Row:
    """Return a new object with the defaults of its other fields: as ``model(**values)``, and quicker.

    The names are those of columns, so ``user_id`` and not ``user``.
    """
    row = model.__new__(model)
    constants, made_up = _defaults(model)
    row.__dict__.update(constants)
    for name, default in made_up:
        if name not in values:
            row.__dict__[name] = default()
    row.__dict__.update(values)
    row._state = ModelState()
    return row


@cache
def _defaults(
    model: type[models.Model],
) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """Return the defaults of a model's fields: those that never change, and functions for the others."""
    fields: Sequence[models.Field[Any, Any]] = model._meta.concrete_fields
    made_up = [
        (field.attname, field.default)
        for field in fields
        if field.has_default() and callable(field.default)
    ]
    varying = {name for name, _ in made_up}
    constants = {
        field.attname: field.get_default() for field in fields if field.attname not in varying
    }
    return constants, made_up


def made(model: type[Row], columns: Mapping[str, Any]) -> Row:
    """Return a new object with all its columns, not saved: as ``model(**columns)``, likewise quicker."""
    row = model.__new__(model)
    row.__dict__.update(columns)
    row._state = ModelState()
    return row


def _stand_in(kind: type, number: int) -> uuid.UUID | datetime | str:
    """Return a value that no query holds as a constant."""
    if kind is str:
        return f"stand-in {number} {uuid.uuid4()}"
    if kind is uuid.UUID:
        return uuid.uuid4()
    return datetime(1901, 3, 5, 7, 9, 11, 131_719 + number, tzinfo=UTC)
