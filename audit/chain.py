"""The chain of audit entries: each sealed entry's hash covers its content and the hash before it.

The database makes one text of each entry's columns: a JSON array on SQLite, the text of a row on
PostgreSQL. This is several times faster than to make it here, and no two different entries have the same
text. The texts of the two differ, so a log that moves from one to the other needs
`audit_checkpoint --restart`. ``audit/unkeyed.py`` has the older format.
"""

import hmac
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction

from audit import unkeyed
from audit.keys import Key

GENESIS = "0" * 64
PAGE = 10_000
_LOCK = 0x61756469  # the key of pg_advisory_xact_lock: only one process seals at a time
_COLUMNS = (
    "id", "at", "actor_id", "action", "method", "path", "status", "target_type", "target_id", "ip",
    "user_agent", "request_id", "duration_ms", "data",
)  # fmt: skip
# A time as text depends on settings of the session, unless its format is given.
_OF_POSTGRESQL = {"at": "to_char(\"at\" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"}

# What reading raises where somebody has stored a wrong value: SQLite takes any text as a number or time.
WRONG_VALUE = (TypeError, ValueError, OverflowError, AttributeError)

Progress = Callable[[int], None]


class Place(NamedTuple):
    """A place in the chain: the position of an entry, and its hash."""

    position: int
    hash: str


START = Place(0, GENESIS)


class BrokenEntry(Exception):
    """The first place where the chain is broken, and the reason."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


def lock() -> None:
    """Let other processes that seal or sign wait until this transaction ends.

    SQLite needs nothing: its transactions begin with the lock of the writer.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def entry_hash(key: Key, before: str, position: int, text: str) -> str:
    """Return the HMAC-SHA256 of an entry's text, its position and the hash of the entry before it."""
    return hmac.digest(key.chain, f"{before}{position}:{text}".encode(), "sha256").hex()


def rows(columns: str, rest: str, values: list[Any]) -> list[tuple[Any, ...]]:
    """Return columns of entries, with the text of each entry last. ``rest`` is SQL from WHERE on."""
    if connection.vendor == "postgresql":
        text = f"ROW({', '.join(_OF_POSTGRESQL.get(name, name) for name in _COLUMNS)})::text"
    else:
        text = f"json_array({', '.join(_COLUMNS)})"
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT {columns}, {text} FROM audit_auditentry {rest}", values)  # noqa: S608 - no values
            return list(cursor.fetchall())
        except OperationalError as error:
            if "BLOB" in str(error):
                reason = "an entry has bytes where the service writes text"
                raise BrokenEntry(0, reason) from None
            raise


def end() -> Place:
    """Return the place of the newest sealed entry, or START."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, hash FROM audit_auditentry WHERE position IS NOT NULL"
            " ORDER BY position DESC LIMIT 1"
        )
        found = cursor.fetchone()
    return Place(found[0], found[1] or GENESIS) if found else START


def follow(start: Place, key: Key | None, upto: int | None, on_progress: Progress) -> Place:
    """Verify the entries after ``start`` up to the position ``upto``, or all. Return the last place.

    ``key`` is the key of these entries; None means the unkeyed format. Raises BrokenEntry.
    """
    place = start
    while upto is None or place.position < upto:
        last = place.position + PAGE if upto is None else min(place.position + PAGE, upto)
        with transaction.atomic():
            first = place.position
            place = _follow_page(place, key, last)
            if place.position < last:  # the chain ends here, or an entry is missing
                _refuse_gap(place.position + 1, required=upto is not None)
        on_progress(place.position - first)
        if place.position < last:
            break
    return place


def _follow_page(place: Place, key: Key | None, last: int) -> Place:
    """Verify the entries after ``place`` up to the position ``last``; stop at one that is missing."""
    position, before = place
    for found, digest, right in _hashes(key, position, last, before):
        position += 1
        if found != position:
            if found < position:
                raise BrokenEntry(found, f"there are two entries {found}")
            return Place(position - 1, before)
        if digest != right:
            raise BrokenEntry(
                position, f"entry {position} was changed, or an entry was inserted before it"
            )
        before = digest
    return Place(position, before)


def _hashes(
    key: Key | None, after: int, last: int, before: str
) -> Iterator[tuple[int, str | None, str]]:
    """Yield position, stored hash and right hash of the entries after ``after``, in their order."""
    # One more than fits: two entries with one position are found, however many there are.
    if key is None:
        yield from unkeyed.hashes(after, last, before)
        return
    where = "WHERE position > %s AND position <= %s ORDER BY position LIMIT %s"
    for position, digest, text in rows("position, hash", where, [after, last, PAGE + 1]):
        yield position, digest, entry_hash(key, before, position, text)
        before = digest or GENESIS


def _refuse_gap(position: int, *, required: bool) -> None:
    """Raise BrokenEntry if entry ``position`` is missing and a later one exists, or it is required."""
    newest = end().position
    if newest >= position:
        raise BrokenEntry(position, f"entry {position} is missing, and later entries exist")
    if required:
        raise BrokenEntry(position, f"the log ends before entry {position}")
