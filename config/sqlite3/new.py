"""A new database on SQLite is made from `new.sql`: what the migrations make, in 0.1 s and not in 4 s.

    python -m config.tests.migrating --write

writes the file anew after each change of a migration. Only an exact file is used: its first line names
the hash of the migrations that it was made by, and where they are others, they run themselves.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.migrations.loader import MigrationLoader

FILE = Path(__file__).with_name("new.sql")
BETWEEN = ";\n\n"  # statements


def make(connection: Any) -> bool:
    """Make all tables of an empty database in one transaction, with the record of the migrations.

    Returns False, and changes nothing, if the database is not empty or not SQLite's, or if the file was
    not made by the present migrations.
    """
    if connection.vendor != "sqlite" or connection.introspection.table_names():
        return False
    head, *statements = FILE.read_text(encoding="utf-8").split(BETWEEN)
    if head != head_line():
        return False
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        if connection.introspection.table_names(cursor):
            return False  # another process was quicker
        for statement in statements:
            cursor.execute(statement)
    return True


def head_line() -> str:
    """Return the first line of the file that the present migrations make: the hash of their sources."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    modules = sorted(type(migration).__module__ for migration in loader.disk_migrations.values())
    sources = [Path(str(sys.modules[name].__file__)).read_bytes() for name in modules]
    digest = hashlib.sha256(repr([*zip(modules, sources, strict=True)]).encode()).hexdigest()
    return (
        f"-- `python -m config.tests.migrating --write` made this; SHA-256 of migrations: {digest}"
    )
