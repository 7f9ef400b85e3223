"""The columns of reports.

A report's row is a frozen dataclass. Each of its fields is defined once: its texts for people,
whether it is an amount, and its source in the books. The API's serializers, the admin site's pages,
the charts and the sums over the ledger all read this definition.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, Protocol

from config import money
from payments.models import JournalEntry, LedgerAccount


class Row(Protocol):
    """A dataclass with amounts in minor units of its ``currency``."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def currency(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Column:
    """The definition of one field of a row."""

    name: str = ""
    type: object = str
    title: str = ""  # a heading: "Creators' share"
    short: str = ""  # inside a sentence and in narrow tables: "creators"
    help_text: str = ""
    is_amount: bool = False
    # The source of an amount in the books: the accounts of a role, or the entries of some kinds that
    # move money between the gateways and us. The column is ``sign`` times credits minus debits.
    role: LedgerAccount.Role | None = None
    kinds: tuple[JournalEntry.Kind, ...] = ()
    sign: int = 1


def amount(
    title: str,
    *,
    short: str = "",
    help_text: str = "",
    role: LedgerAccount.Role | None = None,
    kinds: tuple[JournalEntry.Kind, ...] = (),
    sign: int = 1,
) -> int:
    """Return a field of a row for an amount in minor units, 0 by default."""
    column = Column(
        title=title,
        short=short,
        help_text=help_text,
        is_amount=True,
        role=role,
        kinds=kinds,
        sign=sign,
    )
    return field(default=0, metadata={"column": column})


def count(title: str, *, help_text: str = "") -> int:
    """Return a field of a row for a number of things, 0 by default."""
    return field(default=0, metadata={"column": Column(title=title, help_text=help_text)})


def same_as(row: type[Row], name: str) -> int:
    """Return a field with the definition of the field ``name`` of another report's row."""
    return field(default=0, metadata=row.__dataclass_fields__[name].metadata)


@cache
def columns(row: type[Row]) -> tuple[Column, ...]:
    """Return the definitions of a row's fields, in their order.

    Raises ValueError if two fields have the same source: the sums would count it in one of them only.
    """
    defined = ((f, f.metadata.get("column", Column())) for f in fields(row))
    named = tuple(
        replace(column, name=f.name, type=f.type, short=column.short or f.name.replace("_", " "))
        for f, column in defined
    )
    roles = Counter(column.role for column in named if column.role)
    kinds = Counter(kind for column in named for kind in column.kinds)
    for source, number in [*roles.items(), *kinds.items()]:
        if number > 1:
            raise ValueError(f"{row.__name__}: two columns have the source {source!r}.")
    return named


def amounts(row: type[Row]) -> tuple[Column, ...]:
    """Return the definitions of a row's amounts, in their order."""
    return tuple(column for column in columns(row) if column.is_amount)


def as_text(row: Row) -> dict[str, object]:
    """Return a row as the API shows it: amounts as decimal strings, other values unchanged."""
    shown = {column.name: getattr(row, column.name) for column in columns(type(row))}
    for column in amounts(type(row)):
        shown[column.name] = money.to_text(shown[column.name], row.currency)
    return shown


def in_currency(rows: Iterable[Row], currency: str | None) -> list[dict[str, object]]:
    """Return the rows of one currency, or without one all rows, as the API shows them."""
    return [as_text(row) for row in rows if currency in (None, row.currency)]
