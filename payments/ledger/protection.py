"""What the database itself refuses in the ledger."""

from django.db import connections

from config import append_only

TABLES = ("payments_transfer", "payments_journalentry")
CURRENCY_TRIGGER = "payments_transfer_currency"

_MISMATCH = """
    EXISTS (
        SELECT 1 FROM payments_ledgeraccount AS account
        WHERE account.id IN (NEW.debit_id, NEW.credit_id) AND account.currency <> NEW.currency
    )
"""


def make_way(using: str) -> None:
    """Before migrations: SQLite cannot rebuild a table that another table's trigger looks at."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f'DROP TRIGGER IF EXISTS "{CURRENCY_TRIGGER}"')


def install(using: str) -> None:
    """Append-only entries and transfers; a transfer in a currency its accounts do not have fails.

    Safe to repeat; runs after every migration.
    """
    for table in TABLES:
        append_only.protect(using, table)
    connection = connections[using]
    statements = (
        [
            f'DROP TRIGGER IF EXISTS "{CURRENCY_TRIGGER}"',
            f'CREATE TRIGGER "{CURRENCY_TRIGGER}" BEFORE INSERT ON payments_transfer'
            f" WHEN {_MISMATCH} BEGIN SELECT RAISE(ABORT, 'currencies differ'); END",
        ]
        if connection.vendor == "sqlite"
        else [
            "CREATE OR REPLACE FUNCTION refuse_currency() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF {_MISMATCH} THEN RAISE EXCEPTION 'currencies differ'"
            " USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$",
            f'DROP TRIGGER IF EXISTS "{CURRENCY_TRIGGER}" ON payments_transfer',
            f'CREATE TRIGGER "{CURRENCY_TRIGGER}" BEFORE INSERT ON payments_transfer'
            " FOR EACH ROW EXECUTE FUNCTION refuse_currency()",
        ]
    )
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def missing(using: str) -> list[str]:
    """The triggers that should stand and do not."""
    found = [name for table in TABLES for name in append_only.missing(using, table)]
    connection = connections[using]
    catalogue = (
        "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = %s"
        if connection.vendor == "sqlite"
        else "SELECT 1 FROM pg_trigger WHERE NOT tgisinternal AND tgname = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue, [CURRENCY_TRIGGER])
        return found if cursor.fetchone() else [*found, CURRENCY_TRIGGER]
