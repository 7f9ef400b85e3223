"""Tables whose rows are written once: the database itself refuses to change or delete one.

SQL triggers, made again after every migration: Django rebuilds a SQLite table to alter it, and its
triggers are lost on the way.
"""

from django.db import connections


def protect(using: str, table: str, *, set_once: tuple[str, ...] = ()) -> None:
    """Refuse UPDATE, DELETE and (PostgreSQL) TRUNCATE on ``table``. Safe to repeat.

    ``set_once`` columns may go from empty to a value, once; nothing else may change.
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
    """Take the protection off again: only for the tests' own clean-up and for reversed migrations."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for name in trigger_names(table):
            suffix = "" if connection.vendor == "sqlite" else f' ON "{table}"'
            cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"{suffix}')


def trigger_names(table: str) -> tuple[str, ...]:
    return (f"{table}_no_update", f"{table}_no_delete", f"{table}_no_truncate")


def missing(using: str, table: str) -> list[str]:
    """The triggers that should stand and do not."""
    connection = connections[using]
    sqlite = connection.vendor == "sqlite"
    catalogue = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if sqlite
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue)
        standing = {row[0] for row in cursor.fetchall()}
    wanted = trigger_names(table)[: 2 if sqlite else 3]
    return [name for name in wanted if name not in standing]


def _statements(vendor: str, table: str, columns: list[str], set_once: tuple[str, ...]):
    no_update, no_delete, no_truncate = trigger_names(table)
    different = "IS NOT" if vendor == "sqlite" else "IS DISTINCT FROM"
    changed = [f'NEW."{name}" {different} OLD."{name}"' for name in columns]
    again = [
        f'(OLD."{name}" IS NOT NULL AND NEW."{name}" {different} OLD."{name}")' for name in set_once
    ]
    update_when = " OR ".join(changed + again) if set_once else ""
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
