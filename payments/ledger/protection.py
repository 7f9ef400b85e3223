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
