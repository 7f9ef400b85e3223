"""What a squashed migration does last."""

from typing import Any

from django.db.migrations.operations.base import Operation


class RunDeferred(Operation):
    """Make the indexes and foreign keys that Django keeps for the end, and leave nothing for later.

    Django then records the migration, with every step that it replaces, in the transaction that makes
    the tables. Otherwise a process that is killed in between leaves tables that `migrate` makes again,
    or some of the steps recorded. It is no `RunPython`, which would render the models once more.
    """

    reduces_to_sql = False

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: the models are there already."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        for statement in schema_editor.deferred_sql:
            schema_editor.execute(statement, None)
        schema_editor.deferred_sql.clear()

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Change nothing: the tables go with what was made."""
