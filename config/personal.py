"""Which rows belong to a person: what an export shows of them, and what an erasure does to them.

Each app registers an entry for each of its links to a user, in its ``personal.py``. A test fails when a
link has none, so that a new table is neither forgotten in an export nor left by an erasure.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Model, Q, QuerySet

from config import batches, ordered


@dataclass(frozen=True, slots=True)
class Person:
    """The person whose account is erased: the former name and address, and when the erasure began.

    ``pseudonym`` is the name that stands in place of theirs. ``email`` and ``name`` may be empty.
    """

    user_id: uuid.UUID
    email: str
    name: str
    pseudonym: str
    since: datetime


class Fate(StrEnum):
    """What an erasure does to rows."""

    REMOVED = "removed"  # deleted
    ANONYMOUS = "anonymous"  # they stay without what tells of the person
    KEPT = "kept"  # they stay, with the pseudonymous id


Erase = Callable[[Person], object]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a model that a field links to a person.

    ``what`` names them for people, and ``why`` says why they are kept, or what goes. ``section`` is
    their place in the export, with ``columns`` of each row; empty columns: they are not exported.
    ``erase`` is safe to repeat and goes on where it was killed; None: REMOVED deletes, and KEPT does
    nothing.
    """

    model: type[Model]
    field: str
    what: str
    fate: Fate
    why: str
    section: str = ""
    columns: tuple[str, ...] = ()
    erase: Erase | None = None

    def of(self, user_id: uuid.UUID) -> "QuerySet[Any, Any]":
        """Return the person's rows, by primary key."""
        return self.model._default_manager.filter(**{self.field: user_id}).order_by("pk")

    def apply(self, person: Person) -> None:
        """Do to the rows what an erasure does. Safe to repeat."""
        if self.erase is not None:
            self.erase(person)
        elif self.fate == Fate.REMOVED:
            while batches.delete(self.of(person.user_id)):
                pass


_entries: list[Rows] = []


def register(*rows: Rows) -> None:
    """Add entries. An erasure goes through them in this order, app by app."""
    _entries.extend(rows)


def entries() -> tuple[Rows, ...]:
    return tuple(_entries)


def sections(user_id: uuid.UUID) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Yield the name and the rows of each section of the export. Rows are read as they are used."""
    for entry in _entries:
        if entry.section:
            rows = entry.of(user_id).values(*entry.columns)
            yield entry.section, rows.iterator(chunk_size=500)


def emptied(rows: "QuerySet[Any, Any]", **empty: Any) -> int:
    """Write the empty values into the rows that have others; return how many. Safe to repeat."""
    differs = Q()
    for name, value in empty.items():
        differs |= ~Q(**{name: value}) if value is not None else Q(**{f"{name}__isnull": False})
    return ordered.update(rows.filter(differs), **empty)
