"""Database triggers that protect the books."""

from django.db import connections

from config import append_only

TABLES = ("payments_transfer", "payments_journalentry")
CURRENCY_TRIGGER = "payments_transfer_currency"

# An account that does not exist has no currency, and is refused by its foreign key. One EXISTS for both
# accounts takes SQLite four times as long, a third of all that it does for a transfer.
_MISMATCH = """
    NEW.currency <> (SELECT currency FROM payments_ledgeraccount WHERE id = NEW.debit_id)
    OR NEW.currency <> (SELECT currency FROM payments_ledgeraccount WHERE id = NEW.credit_id)
"""


def make_way(using: str) -> None:
    """Drop the currency trigger before migrations run; `install` creates it again afterwards.

    SQLite cannot rebuild the table of accounts while another table's trigger reads it.
    """
    connection = connections[using]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f'DROP TRIGGER IF EXISTS "{CURRENCY_TRIGGER}"')


def install(using: str) -> None:
    """Create the triggers, or create them again. Runs after every migration; safe to repeat.

    They make journal entries and transfers append-only, and refuse a transfer in another currency than
    that of its two accounts, with an IntegrityError.
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
    """Return the names of the triggers that the database lacks; empty when the books are protected."""
    names = [name for table in TABLES for name in append_only.missing(using, table)]
    connection = connections[using]
    catalogue = (
        "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = %s"
        if connection.vendor == "sqlite"
        else "SELECT 1 FROM pg_trigger WHERE NOT tgisinternal AND tgname = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue, [CURRENCY_TRIGGER])
        return names if cursor.fetchone() else [*names, CURRENCY_TRIGGER]
