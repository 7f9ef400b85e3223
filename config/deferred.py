"""What a squashed migration does last."""

from typing import Any


def run_deferred(apps: Any, schema_editor: Any) -> None:
    """Make the indexes and foreign keys that Django keeps for the end, and leave nothing for later.

    Django then records the migration, with every step that it replaces, in the transaction that makes
    the tables. Otherwise a process that is killed in between leaves tables that `migrate` makes again,
    or some of the steps recorded.
    """
    for statement in schema_editor.deferred_sql:
        schema_editor.execute(statement, None)
    schema_editor.deferred_sql.clear()
