"""What the migrations of the audit log do on PostgreSQL alone. Each function does nothing on SQLite."""

from django.utils import timezone

from audit import partitions
from config import append_only

TABLE = "audit_auditentry"
OLDER = f"{TABLE}_older"


def partition(apps, schema_editor):
    """Partition the log by month on PostgreSQL.

    A table with entries becomes the partition of all months up to this one, so no entry is copied.
    """
    if schema_editor.connection.vendor != "postgresql":
        return
    _rename(schema_editor, OLDER)
    schema_editor.execute(
        f'CREATE TABLE "{TABLE}" (LIKE "{OLDER}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'
        " PARTITION BY RANGE (id)"
    )
    _make_indexes(apps, schema_editor)
    schema_editor.execute(f'CREATE TABLE "{TABLE}_default" PARTITION OF "{TABLE}" DEFAULT')
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f'SELECT 1 FROM "{OLDER}" LIMIT 1')  # noqa: S608 - a constant
        if not cursor.fetchone():
            cursor.execute(f'DROP TABLE "{OLDER}"')
            return
        _, next_month = partitions.months(timezone.now(), 2)
        end = partitions.first_id(next_month)
        # Ids of a clock that was ahead. They lie in the default partition until their month comes.
        cursor.execute(
            f'WITH ahead AS (DELETE FROM "{OLDER}" WHERE id >= %s RETURNING *)'  # noqa: S608
            f' INSERT INTO "{TABLE}" SELECT * FROM ahead',
            [end],
        )
        cursor.execute(
            f'ALTER TABLE "{TABLE}" ATTACH PARTITION "{OLDER}" FOR VALUES FROM (MINVALUE) TO (\'{end}\')'
        )


def join(apps, schema_editor):
    """Make one table of all partitions again."""
    if schema_editor.connection.vendor != "postgresql":
        return
    parent = f"{TABLE}_parent"
    _rename(schema_editor, parent)
    schema_editor.execute(
        f'CREATE TABLE "{TABLE}" (LIKE "{parent}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'
    )
    schema_editor.execute(f'INSERT INTO "{TABLE}" SELECT * FROM "{parent}"')  # noqa: S608
    schema_editor.execute(f'DROP TABLE "{parent}"')  # with its partitions
    _make_indexes(apps, schema_editor)


def _rename(schema_editor, name):
    """Rename the table and its indexes, so that a new table can have their names."""
    append_only.release(schema_editor.connection.alias, TABLE)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [TABLE])
        indexes = [index for (index,) in cursor.fetchall()]
        cursor.execute(f'ALTER TABLE "{TABLE}" RENAME TO "{name}"')
        for index in indexes:
            suffix = name.removeprefix(TABLE)
            cursor.execute(f'ALTER INDEX "{index}" RENAME TO "{index}{suffix}"')


def _make_indexes(apps, schema_editor):
    entry = apps.get_model("audit", "AuditEntry")
    schema_editor.execute(f'ALTER TABLE "{TABLE}" ADD PRIMARY KEY (id)')
    for index in entry._meta.indexes:
        schema_editor.execute(index.create_sql(entry, schema_editor))


def know_pairs(apps, schema_editor):
    """Let PostgreSQL know which statuses and methods go together: it would expect each pair."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE STATISTICS api_request_pairs (mcv) ON status, method FROM audit_apirequest"
        )


def forget_pairs(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP STATISTICS IF EXISTS api_request_pairs")
