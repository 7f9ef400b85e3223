"""The description of a database, made from the file of a new one, by squashed migrations or all steps.

    python -m config.tests.migrating [--squashed | --steps | --write]

migrates the empty database of DATABASE_URL and prints its description as JSON. With ``--squashed``, the
migrations run, on SQLite, too. With ``--steps``, every app first goes to its first old step, as a
database of an early version did. Django then takes the old steps by itself, because a squashed
migration is used only where all of its steps are applied, or none. ``--write`` prints nothing: it lets
the migrations make a database of its own, and writes it into `config/sqlite3/new.sql`.
"""

import json
import os
import sys
import tempfile
from datetime import datetime
from typing import Any

APPS = ("audit", "accounts", "videos", "payments", "webhooks", "streaming", "analytics")

_SQLITE = """
    SELECT type || ' ' || name || ' of ' || tbl_name, coalesce(sql, '') FROM sqlite_master
    WHERE name NOT LIKE 'sqlite_sequence%'
"""
# Tables first, then their indexes, in an order that changes little from one form to the next.
_SQL = """
    SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
    ORDER BY type <> 'table', tbl_name, name
"""
_OF_ONE_DATABASE = ("id", "hash", "base", "signature")  # endings of columns
_RECORD = (
    "INSERT INTO django_migrations (app, name, applied)"
    " VALUES ('{app}', '{name}', strftime('%Y-%m-%d %H:%M:%f'))"
)
# What pg_dump would write, without two things that a renamed column keeps on PostgreSQL, its place and
# the name of its NOT NULL constraint, and without the constant defaults that added columns keep for
# processes of the version before.
_POSTGRESQL = """
    WITH ours AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    SELECT 'table ' || relname, concat_ws(' ', relkind::text, relpersistence::text,
            pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid))
        FROM ours WHERE relkind NOT IN ('i', 'I')
    UNION ALL
    SELECT 'column ' || relname || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod),
            CASE WHEN attnotnull THEN 'NOT NULL' END,
            CASE WHEN pg_get_expr(adbin, adrelid) ~ '[(]' THEN pg_get_expr(adbin, adrelid) END,
            attidentity, attgenerated, attcollation::regcollation)
        FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = ours.oid AND adnum = attnum
        WHERE relkind IN ('r', 'p')
    UNION ALL
    SELECT 'constraint ' || conname || ' of ' || conrelid::regclass,
            concat_ws(' ', pg_get_constraintdef(oid), convalidated)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'index ' || indexrelid::regclass || ' of ' || indrelid::regclass,
            concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid)
        FROM ours JOIN pg_index ON indrelid = ours.oid
    UNION ALL
    SELECT 'trigger ' || tgname || ' of ' || tgrelid::regclass,
            concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), tgenabled)
        FROM ours JOIN pg_trigger ON tgrelid = ours.oid AND NOT tgisinternal
    UNION ALL
    SELECT 'function ' || proname, pg_get_functiondef(oid)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'statistics ' || stxname, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
    UNION ALL
    SELECT 'extension ' || extname, '' FROM pg_extension
"""


def description() -> dict[str, str]:
    """Return each thing of the database's schema with its definition, and the rows of each table.

    Rows are told without ids, moments, and the hashes and signatures of the log, which contain moments.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_SQLITE if connection.vendor == "sqlite" else _POSTGRESQL)
        things = {name: " ".join(definition.split()) for name, definition in cursor.fetchall()}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name of the catalogue
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            things[f"rows of {table}"] = "\n".join(sorted(map(_told, rows)))
    return things


def _told(row: dict[str, Any]) -> str:
    told = {
        name: value
        for name, value in row.items()
        if not name.endswith(_OF_ONE_DATABASE) and not isinstance(value, datetime)
    }
    return repr(told)


def write() -> None:
    """Let the migrations make the empty database, and write `config/sqlite3/new.sql` from it."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from config.sqlite3 import new

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    with connection.cursor() as cursor:
        cursor.execute(_SQL)
        statements = [sql for (sql,) in cursor.fetchall()]
        for table in connection.introspection.table_names(cursor):
            if table != "django_migrations":
                cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608 - a name of the catalogue
                if cursor.fetchone()[0]:
                    raise SystemExit(
                        f"A migration writes rows into {table}: new.sql needs them, too."
                    )
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        statements += [_RECORD.format(app=app, name=name) for app, name in cursor.fetchall()]
    new.FILE.write_text(new.BETWEEN.join([new.head_line(), *statements]) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Migrate, and print the description or write the file."""
    import django
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if arguments == ["--write"]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["DATABASE_URL"] = f"sqlite:///{folder}/new.sqlite3"
            django.setup()
            write()
        return
    django.setup()
    from django.db import connection

    from config.management.commands.migrate import Executor
    from config.sqlite3 import new

    if arguments == ["--steps"]:
        Executor(connection).migrate([(app, "0001_initial") for app in APPS])
    if arguments == ["--squashed"]:
        new.make = lambda connection: False
    call_command("migrate", verbosity=0)
    sys.stdout.write(json.dumps(description()))


if __name__ == "__main__":
    main(sys.argv[1:])
