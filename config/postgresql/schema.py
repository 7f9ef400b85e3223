"""Changes of tables beside which the version before goes on working.

Django adds a column with its default, and then takes the default away. A web server of the version
before, which does not know the column, could store no row of that table any more: nobody could sign in
there from the migration on until that server is restarted.
"""

from typing import Any

from django.db.backends.postgresql import schema
from django.db.models import Field, Model


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Django's editor, which leaves an added column the default that its present rows got."""

    _is_adding = False

    def add_field(self, model: type[Model], field: "Field[Any, Any]") -> None:
        self._is_adding = True
        try:
            super().add_field(model, field)
        finally:
            self._is_adding = False

    def skip_default_on_alter(self, field: "Field[Any, Any]") -> bool:
        """Return whether a default stays: that of a column that is being added.

        One that differs from row to row, such as an id of chance, is no default for other rows.
        """
        default = field.default if field.has_default() else ""  # else the empty text
        made = callable(default) and default not in (dict, list)
        stays = self._is_adding and not (made or field.unique)
        return stays or bool(super().skip_default_on_alter(field))
