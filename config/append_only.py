"""Tables whose rows the database refuses to change or delete, on SQLite and on PostgreSQL.

SQL triggers hold the rule. They must be created again after every migration, because Django rebuilds an
SQLite table to alter it and the rebuilt table has no triggers.
"""

from collections.abc import Iterator

from django.db import connections


def protect(using: str, table: str, *, set_once: tuple[str, ...] = ()) -> None:
    """Make the database refuse UPDATE, DELETE and (on PostgreSQL) TRUNCATE on ``table``.

    A column of ``set_once`` may change from NULL to a value, once. Safe to repeat.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        columns = [
            column.name
            for column in connection.introspection.get_table_description(cursor, table)
            if column.name not in set_once
        ]
        for statement in _statements(connection.vendor, table, columns, set_once):
            cursor.execute(statement)


def release(using: str, table: str) -> None:
    """Remove the protection of ``table``. Only the tests' clean-up and reversed migrations need this."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for name in trigger_names(table):
            suffix = "" if connection.vendor == "sqlite" else f' ON "{table}"'
            cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"{suffix}')


def trigger_names(table: str) -> tuple[str, str, str]:
    """Return the names of the triggers against UPDATE, DELETE and TRUNCATE (PostgreSQL only)."""
    return (f"{table}_no_update", f"{table}_no_delete", f"{table}_no_truncate")


def missing(using: str, table: str) -> list[str]:
    """Return the triggers that ``table`` should have and does not have."""
    connection = connections[using]
    sqlite = connection.vendor == "sqlite"
    catalogue = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if sqlite
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue)
        existing = {row[0] for row in cursor.fetchall()}
    required = trigger_names(table)[: 2 if sqlite else 3]
    return [name for name in required if name not in existing]


def _statements(
    vendor: str, table: str, columns: list[str], set_once: tuple[str, ...]
) -> Iterator[str]:
    """Yield the SQL that creates the triggers. ``columns`` are the columns that may never change."""
    no_update, no_delete, no_truncate = trigger_names(table)
    differs = "IS NOT" if vendor == "sqlite" else "IS DISTINCT FROM"
    changed = [f'NEW."{name}" {differs} OLD."{name}"' for name in columns]
    set_again = [
        f'(OLD."{name}" IS NOT NULL AND NEW."{name}" {differs} OLD."{name}")' for name in set_once
    ]
    update_when = " OR ".join(changed + set_again) if set_once else ""
    if vendor == "sqlite":
        when = f"WHEN {update_when} " if update_when else ""
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        yield f'DROP TRIGGER IF EXISTS "{no_update}"'
        yield f'CREATE TRIGGER "{no_update}" BEFORE UPDATE ON "{table}" {when}{refuse}'
        yield f'DROP TRIGGER IF EXISTS "{no_delete}"'
        yield f'CREATE TRIGGER "{no_delete}" BEFORE DELETE ON "{table}" {refuse}'
        return
    yield (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME"
        " USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    when = f"WHEN ({update_when}) " if update_when else ""
    for name, event in (
        (no_update, f'BEFORE UPDATE ON "{table}" FOR EACH ROW {when}'),
        (no_delete, f'BEFORE DELETE ON "{table}" FOR EACH ROW '),
        (no_truncate, f'BEFORE TRUNCATE ON "{table}" FOR EACH STATEMENT '),
    ):
        yield f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"'
        yield f'CREATE TRIGGER "{name}" {event}EXECUTE FUNCTION refuse_change()'
