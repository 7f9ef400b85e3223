"""Which writes of a request wait for the disk, on SQLite."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.db import connection

WAITS, DOES_NOT = 2, 1  # PRAGMA synchronous: FULL and NORMAL


def synchronous(wrapper: Any) -> int:
    """Return the value that the next commit of a connection goes by."""
    value: int = wrapper.connection.execute("PRAGMA synchronous").fetchone()[0]
    return value


@contextlib.contextmanager
def writes() -> Iterator[dict[str, set[int]]]:
    """Yield the tables that are written inside, each with the values of `synchronous` at that time."""
    found: dict[str, set[int]] = defaultdict(set)

    def note(execute, sql, params, many, context):
        words = sql.replace('"', "").split()
        if words[0] in {"INSERT", "UPDATE"}:
            found[words[2 if words[0] == "INSERT" else 1]].add(synchronous(connection))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found
