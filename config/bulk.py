"""Writing and reading many rows at once, several times as fast as with objects for rows and ids."""

import contextlib
import gc
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connections, models, router

# The counts of new objects after which the collector looks for cycles while rows are kept by the hundred
# thousand: they hold none, and with the usual counts it looks at all of them again and again.
_RARELY = (100_000, 20, 100)
_lock = threading.Lock()
_usual: list[tuple[int, int, int]] = []  # the counts before, once for each thread that asks


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Let the garbage collector of this process look more rarely, while a block keeps very many rows.

    Safe in several threads at once: the last one to leave brings the usual counts back.
    """
    with _lock:
        _usual.append(_usual[0] if _usual else gc.get_threshold())
        gc.set_threshold(*_RARELY)
    try:
        yield
    finally:
        with _lock:
            before = _usual.pop()
            if not _usual:
                gc.set_threshold(*before)


def read(rows: models.QuerySet[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a ``values_list`` as the driver gives them, without Django's conversions.

    So give ids to `id_text`, and read no times. A sum is a Decimal on PostgreSQL, with a whole value.
    """
    connection = connections[rows.db]
    sql, values = rows.query.get_compiler(connection=connection).as_sql()
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        while batch := cursor.fetchmany(2000):
            yield from batch


def id_text(stored: uuid.UUID | str | None) -> str:
    """Return the text of an id that `read` gives, the same on every database. None gives "None"."""
    if isinstance(stored, str):
        return f"{stored[:8]}-{stored[8:12]}-{stored[12:16]}-{stored[16:20]}-{stored[20:]}"
    return str(stored)


def id_text_sql(connection: Any, column: str) -> str:
    """Return the expression in SQL for what `id_text` returns, on this database."""
    if connection.vendor != "sqlite":
        return f"CAST({column} AS text)"
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({column}, {begin}, {length})" for begin, length in parts)


def insert(
    model: type[models.Model],
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    ignore_conflicts: bool = False,
) -> None:
    """Insert rows of values, in the order of the fields ``names``; the other fields must be nullable.

    Ids may be given as UUIDs or as text. A row that breaks a unique constraint raises IntegrityError, or
    is left out with ``ignore_conflicts``. Signals are not sent, and the fields' defaults are not used.
    """
    connection = connections[router.db_for_write(model)]
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    columns = [
        _for_sqlite(field, column) if connection.vendor == "sqlite" else list(column)
        for field, column in zip(fields, zip(*rows, strict=True), strict=False)
    ]
    if not columns:
        return
    quote = connection.ops.quote_name
    stored = ", ".join(quote(field.column) for field in fields)
    into = f"INSERT INTO {quote(model._meta.db_table)} ({stored})"
    ending = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            values = ", ".join(["%s"] * len(fields))
            cursor.executemany(
                f"{into} VALUES ({values}){ending}", list(zip(*columns, strict=True))
            )
        else:
            arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
            cursor.execute(f"{into} SELECT * FROM UNNEST({arrays}){ending}", columns)  # noqa: S608 - no values


def id_for(connection: Any, value: uuid.UUID | str) -> uuid.UUID | str:
    """Return a UUID, or its text, as a parameter of a statement on this database."""
    return str(value).replace("-", "") if connection.vendor == "sqlite" else value


def _for_sqlite(field: Any, column: Iterable[Any]) -> list[Any]:
    """Return a column's values as SQLite stores them: its driver knows no UUIDs and no times."""
    kind = field.target_field if field.is_relation else field
    if isinstance(kind, models.UUIDField):
        texts = [value if type(value) is str else value.hex for value in column]
        return "\n".join(texts).replace("-", "").split("\n")  # in one call for all of them
    if isinstance(kind, models.DateTimeField):
        connection = connections[router.db_for_write(field.model)]
        known: dict[Any, Any] = {}
        return [
            known[value]
            if value in known
            else known.setdefault(value, field.get_db_prep_value(value, connection))
            for value in column
        ]
    return list(column)
