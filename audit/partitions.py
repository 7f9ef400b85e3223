"""The partitions of the audit log by month, on PostgreSQL. SQLite has none.

The key of a partition is the id of an entry, a UUIDv7: its first 48 bits are the time in milliseconds.
An entry whose month has no partition lies in the default partition.
"""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from audit import protection

logger = logging.getLogger(__name__)

_END = re.compile(r"TO \('([0-9a-f-]{36})'\)")
TABLE = protection.ENTRIES
MONTHS_AHEAD = 2


def make_ahead(using: str = "default") -> None:
    """Make the partitions of this month and the next two. Safe to repeat; does nothing on SQLite."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    partitions = existing_partitions(using)
    if not partitions:  # a database before the migration that makes them
        return
    ends = (_END.search(bounds) for _, bounds in partitions)
    covered = max((UUID(end[1]) for end in ends if end), default=UUID(int=0))
    made = [
        month
        for month in months(timezone.now(), MONTHS_AHEAD + 1)
        if first_id(month) >= covered and _make(using, month)
    ]
    if made:
        protection.install(using)  # TRUNCATE is refused by a trigger of each partition


def existing_partitions(using: str = "default") -> list[tuple[str, str]]:
    """Return name and bounds of each partition, the oldest first; the default partition is the last."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(%s)"
            " ORDER BY pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', c.relname",
            [TABLE],
        )
        return list(cursor.fetchall())


def drop_before(position: int) -> int:
    """Drop each partition of past months whose entries all lie before ``position``.

    Returns the number of entries. The caller has signed a checkpoint that covers them.
    """
    connection = connections["default"]
    if connection.vendor != "postgresql":
        return 0
    kept = {name_of(month) for month in months(timezone.now(), MONTHS_AHEAD + 1)}
    dropped = 0
    for name, bounds in existing_partitions():
        if name in kept or bounds == "DEFAULT":
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f'SELECT count(*), count(*) FILTER (WHERE position < %s) FROM "{name}"',  # noqa: S608 - a name of the catalogue
                [position],
            )
            count, covered = cursor.fetchone()
            if count == covered:
                cursor.execute(f'DROP TABLE "{name}"')
                dropped += count
    return dropped


def months(moment: datetime, count: int) -> Iterator[datetime]:
    """Yield the beginnings of the month of ``moment`` and of the months after it, in UTC."""
    moment = moment.astimezone(UTC)
    first = moment.year * 12 + moment.month - 1
    for number in range(first, first + count):
        yield datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def first_id(moment: datetime) -> UUID:
    """Return the smallest UUIDv7-ordered id of a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def name_of(month: datetime) -> str:
    """Return the name of a month's partition."""
    return f"{TABLE}_{month:%Y_%m}"


def _make(using: str, month: datetime) -> bool:
    """Make the partition of a month and return whether it was made.

    It cannot be made if the default partition already has entries of that month: those stay there.
    """
    start, end = (first_id(moment) for moment in months(month, 2))
    name = name_of(month)
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            # A table that is attached, because CREATE … PARTITION OF would lock the whole log.
            cursor.execute(f'CREATE TABLE "{name}" (LIKE "{TABLE}" INCLUDING ALL)')
            cursor.execute(
                f'ALTER TABLE "{TABLE}" ATTACH PARTITION "{name}"'
                f" FOR VALUES FROM ('{start}') TO ('{end}')"
            )
    except DatabaseError as error:
        logger.warning("The partition %s cannot be made: %s", name, str(error).partition("\n")[0])
        return False
    return True
