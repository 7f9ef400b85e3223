"""Tables whose rows the database refuses to change or delete, on SQLite and on PostgreSQL.

SQL triggers hold the rule. They must be created again after every migration, because Django rebuilds an
SQLite table to alter it and the rebuilt table has no triggers.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connections

# The kinds of a trigger in PostgreSQL's catalogue: pg_trigger.tgtype of BEFORE UPDATE and BEFORE DELETE
# for each row, and of BEFORE TRUNCATE for the statement.
_KINDS = (19, 11, 34)


@dataclass(frozen=True)
class _Trigger:
    """One trigger of a table: its name, and the SQL that creates it."""

    name: str
    create: str


def protect(using: str, table: str, *, set_once: tuple[str, ...] = (), removable: str = "") -> None:
    """Make the database refuse UPDATE, DELETE and (on PostgreSQL) TRUNCATE on ``table``.

    A column of ``set_once`` may change from NULL to a value, once. A row for which the SQL condition
    ``removable`` holds (it calls the row OLD) may be deleted. The partitions of a table are protected
    with it. Safe to repeat: it touches a table only if ``missing`` names a trigger.
    """
    if not missing(using, table, set_once=set_once, removable=removable):
        return
    release(using, table)
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for trigger in _of_sqlite(cursor, connection, table, set_once, removable):
                cursor.execute(trigger.create)
            return
        function, body = _function(cursor, connection, table, set_once, removable)
        cursor.execute(
            f'CREATE OR REPLACE FUNCTION "{function}"() RETURNS trigger LANGUAGE plpgsql'
            f" AS $body${body}$body$"
        )
        no_update, no_delete, no_truncate = trigger_names(table)
        run = f'EXECUTE FUNCTION "{function}"()'
        # PostgreSQL copies the triggers of rows to the partitions, but not those of statements.
        for name, event in (
            (no_update, f'BEFORE UPDATE ON "{table}" FOR EACH ROW'),
            (no_delete, f'BEFORE DELETE ON "{table}" FOR EACH ROW'),
            *(
                (no_truncate, f'BEFORE TRUNCATE ON "{part}" FOR EACH STATEMENT')
                for part in _with_partitions(cursor, table)
            ),
        ):
            cursor.execute(f'CREATE TRIGGER "{name}" {event} {run}')


def release(using: str, table: str) -> None:
    """Remove the protection of ``table``. Only the tests' clean-up and migrations need this."""
    connection = connections[using]
    no_update, no_delete, no_truncate = trigger_names(table)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for name in (no_update, no_delete):
                cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"')
            return
        for name in (no_update, no_delete):
            cursor.execute(f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"')
        for part in _with_partitions(cursor, table):
            cursor.execute(f'DROP TRIGGER IF EXISTS "{no_truncate}" ON "{part}"')


def trigger_names(table: str) -> tuple[str, str, str]:
    """Return the names of the triggers against UPDATE, DELETE and TRUNCATE (PostgreSQL only)."""
    return (f"{table}_no_update", f"{table}_no_delete", f"{table}_no_truncate")


def missing(
    using: str, table: str, *, set_once: tuple[str, ...] = (), removable: str = ""
) -> list[str]:
    """Return the triggers of ``protect`` that ``table`` lacks, or that are disabled or were changed."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            wanted = _of_sqlite(cursor, connection, table, set_once, removable)
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            found = dict(cursor.fetchall())
            return [trigger.name for trigger in wanted if found.get(trigger.name) != trigger.create]
        function, body = _function(cursor, connection, table, set_once, removable)
        names = trigger_names(table)
        cursor.execute(
            "SELECT c.relname, t.tgname, t.tgtype FROM pg_trigger t"
            " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
            " WHERE t.tgname = ANY(%s) AND t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL"
            " AND t.tgattr = ''::int2vector AND p.proname = %s AND p.prosrc = %s",
            [list(names), function, body],
        )
        whole = set(cursor.fetchall())
        return [
            name if part == table else f"{name} of {part}"
            for part in _with_partitions(cursor, table)
            for name, kind in zip(names, _KINDS, strict=True)
            if (part, name, kind) not in whole
        ]


def _with_partitions(cursor: Any, table: str) -> list[str]:
    """Return the table and its partitions, on PostgreSQL."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
        [f'"{table}"'],
    )
    return [table, *(name for (name,) in cursor.fetchall())]


def _refused_update(
    cursor: Any, connection: Any, table: str, set_once: tuple[str, ...], differs: str
) -> str:
    """Return the SQL condition of an UPDATE that is refused, or an empty string if each one is."""
    if not set_once:
        return ""
    columns = [
        column.name for column in connection.introspection.get_table_description(cursor, table)
    ]
    return " OR ".join(
        f'(OLD."{name}" IS NOT NULL AND NEW."{name}" {differs} OLD."{name}")'
        if name in set_once
        else f'NEW."{name}" {differs} OLD."{name}"'
        for name in columns
    )


def _of_sqlite(
    cursor: Any, connection: Any, table: str, set_once: tuple[str, ...], removable: str
) -> list[_Trigger]:
    no_update, no_delete, _ = trigger_names(table)
    update_when = _refused_update(cursor, connection, table, set_once, "IS NOT")
    # A condition that is NULL allows nothing.
    delete_when = f"NOT coalesce({removable}, 0)" if removable else ""
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return [
        _Trigger(
            name,
            f'CREATE TRIGGER "{name}" BEFORE {event} ON "{table}"'
            f" {f'WHEN {when} ' if when else ''}{refuse}",
        )
        for name, event, when in (
            (no_update, "UPDATE", update_when),
            (no_delete, "DELETE", delete_when),
        )
    ]


def _function(
    cursor: Any, connection: Any, table: str, set_once: tuple[str, ...], removable: str
) -> tuple[str, str]:
    """Return name and body of the function that refuses a change, on PostgreSQL.

    The conditions stand in the function and not in the triggers, because the catalogue keeps the text
    of a function as it was written: `missing` can compare it.
    """
    update_when = _refused_update(cursor, connection, table, set_once, "IS DISTINCT FROM")
    lines = ["BEGIN"]
    if update_when:
        lines.append(
            f"IF TG_OP = 'UPDATE' THEN IF NOT ({update_when}) THEN RETURN NEW; END IF; END IF;"
        )
    if removable:
        lines.append(f"IF TG_OP = 'DELETE' THEN IF {removable} THEN RETURN OLD; END IF; END IF;")
    lines.append(
        f"RAISE EXCEPTION '{table} is append-only'"
        " USING ERRCODE = 'integrity_constraint_violation'; END"
    )
    return f"{table}_refuse", " ".join(lines)
