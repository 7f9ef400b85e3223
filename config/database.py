"""Whether the database can answer with the tables of this version, and what to tell if it cannot."""

import sqlite3
import time
from functools import cache

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from config.env import masked, read

UNMIGRATED = (
    "The database does not have the tables of this version yet:"
    " `make run`, or `python manage.py migrate`, makes them."
)
AWAY = "The database does not answer. Try again in a moment."
# Parts of SQLite's messages, and PostgreSQL's codes (sqlstate), with the sentence for each.
_REASONS = {
    ("no such table", "no such column", "has no column named", "42P01", "42703"): UNMIGRATED,
    ("not a database", "malformed"): "The database's file is damaged, or is no SQLite database.",
    ("readonly database", "25006"): "The database is read-only, so nothing can be stored.",
    ("is full", "53100"): "The disk of the database is full, so nothing can be stored.",
    ("too many connections", "connection slots", "too many clients", "53300"): (
        "The database has no free connection for this server: see its max_connections."
    ),
    ("unable to open", "disk I/O error"): "The database's file cannot be opened.",
}


def unavailability(error: BaseException | None) -> str | None:
    """Return why the database cannot answer, without a name or place; None for any other error."""
    if not isinstance(error, (Error, sqlite3.Error)):
        return None
    code, message = getattr(error.__cause__, "sqlstate", None), str(error)
    for signs, reason in _REASONS.items():
        if code in signs or (not code and any(sign in message for sign in signs)):
            return reason
    is_away = isinstance(error, (OperationalError, InterfaceError, sqlite3.OperationalError))
    return AWAY if is_away else None


def explanation(error: BaseException) -> str | None:
    """Return the same for the operator: with the database's place and message, but no password."""
    reason = unavailability(error)
    if reason is None or reason == UNMIGRATED:
        return reason
    database = settings.DATABASES["default"]
    url = read("DATABASE_URL")
    place = f"DATABASE_URL={masked(url)}" if url else database["NAME"]
    message = " ".join(str(error).split())
    if database.get("PASSWORD"):
        message = message.replace(str(database["PASSWORD"]), "***")
    return f"{'The database cannot be used.' if reason == AWAY else reason} {place}: {message}"


def clock_difference() -> float:
    """Return by how many seconds the database's clock is ahead of this machine's. Raises DatabaseError.

    SQLite uses the clock of this machine.
    """
    if connection.vendor != "postgresql":
        return 0.0
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        there = float(cursor.fetchone()[0])
    return there - (before + time.time()) / 2


def is_read_only() -> bool:
    """Return whether nothing can be stored, as on a standby of PostgreSQL. Raises DatabaseError."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        return bool(cursor.fetchone()[0] == "on")


def pending_migrations() -> set[tuple[str, str]]:
    """Return the migrations that the database lacks, each with its app. Raises DatabaseError."""
    return {*_migrations()}.difference(MigrationRecorder(connection).applied_migrations())


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of the code. They are read once, because a process runs one version.

    A squashed migration stands for its steps, which Django records with it.
    """
    files = MigrationLoader(None).disk_migrations
    return frozenset(key for key, migration in files.items() if not migration.replaces)
