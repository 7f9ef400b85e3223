"""A lookup for texts that people wrote, which they do not always write in the same way."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Q, TextField
from django.db.models.lookups import IContains
from django.db.models.sql.compiler import SQLCompiler

from config.sqlite3.base import FOLD
from config.texts import folded, spellings


class Holds(IContains):
    """Whether a text holds another one, in whatever case: ``title__holds="été"``.

    SQLite's LIKE knows the case of the letters a to z alone, so a word with others is compared by
    `folded`, which reads every row in Python. PostgreSQL's comparison knows them.
    """

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, Any]:
        left, left_values = self.process_lhs(compiler, connection)
        right, right_values = self.process_rhs(compiler, connection)
        if all(str(value).isascii() for value in right_values):
            return super().as_sql(compiler, connection)
        values = (*left_values, *(folded(str(value)) for value in right_values))
        return f"{FOLD}({left}) LIKE {right} ESCAPE '\\'", values


for _field in (CharField, TextField):
    # The class keeps the name "icontains", by which a database chooses its operator.
    _field.register_lookup(Holds, "holds")


def holds(name: str, word: str) -> Q:
    """Return the condition that a field holds a word, in either spelling of its accents."""
    found = Q()
    for spelling in spellings(word):
        found |= Q(**{f"{name}__holds": spelling})
    return found
