"""The description of a database's schema, after all steps or the squashed migrations.

    python -m config.tests.migrating [--steps]

migrates the empty database of DATABASE_URL and prints its description as JSON. With ``--steps``, every
app first goes to its first old step, as a database of an early version did. Django then takes the old
steps by itself, because a squashed migration is used only where all of its steps are applied, or none.
"""

import json
import os
import sys

APPS = ("audit", "accounts", "videos", "payments", "webhooks", "streaming", "analytics")

_SQLITE = """
    SELECT type || ' ' || name || ' of ' || tbl_name, coalesce(sql, '') FROM sqlite_master
    WHERE name NOT LIKE 'sqlite_sequence%'
"""
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
    """Return each thing of the database's schema with its definition, and how many rows a table has."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_SQLITE if connection.vendor == "sqlite" else _POSTGRESQL)
        things = {name: " ".join(definition.split()) for name, definition in cursor.fetchall()}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608 - a name of the catalogue
            things[f"rows of {table}"] = str(cursor.fetchone()[0])
    return things


def main(arguments: list[str]) -> None:
    """Migrate, and print the description."""
    import django
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.db import connection

    from config.management.commands.migrate import Executor

    if arguments == ["--steps"]:
        Executor(connection).migrate([(app, "0001_initial") for app in APPS])
    call_command("migrate", verbosity=0)
    sys.stdout.write(json.dumps(description()))


if __name__ == "__main__":
    main(sys.argv[1:])
