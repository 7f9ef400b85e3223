"""The triggers that make the audit log append-only."""

from django.db import connections

from config import append_only

ENTRIES, CHECKPOINTS = "audit_auditentry", "audit_auditcheckpoint"
TABLES = (ENTRIES, CHECKPOINTS)
# SQL cannot verify a signature. `verify_audit` finds whoever forges a checkpoint to delete entries: the
# entries are missing, and the checkpoint is forged.
_PRUNED = f"(OLD.position < (SELECT max(begins_at) FROM {CHECKPOINTS} WHERE reason = 'prune'))"  # noqa: S608 - constants
_RULES: dict[str, dict[str, object]] = {
    ENTRIES: {"set_once": ("position", "hash"), "removable": _PRUNED},
    CHECKPOINTS: {},
}


def install(using: str) -> None:
    """Create the triggers, or create them again. Runs after every migration; safe to repeat."""
    for table, rules in _RULES.items():
        append_only.protect(using, table, **rules)  # type: ignore[arg-type]  # one dict for two kinds


def missing(using: str) -> list[str]:
    """Return the triggers that are missing, disabled or changed."""
    return [
        name
        for table, rules in _RULES.items()
        for name in append_only.missing(using, table, **rules)  # type: ignore[arg-type]
    ]


def make_way(using: str) -> None:
    """Drop the trigger that reads the table of checkpoints before migrations run.

    SQLite cannot rebuild a table while another table's trigger reads it. `install` creates it again.
    """
    if connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            cursor.execute(f'DROP TRIGGER IF EXISTS "{ENTRIES}_no_delete"')
