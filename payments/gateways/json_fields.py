"""Typed access to the fields of JSON objects in Stripe's shapes, which the sandbox's messages have too.

The functions named "required" raise an error for a missing field. The others return an empty value,
because Stripe moves and adds fields between its API versions.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

Json = Mapping[str, object]


def required_text(row: Json, name: str) -> str:
    """Return a field with a text. Raises KeyError without the field, TypeError for another type."""
    value = row[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not a text: {value!r}")
    return value


def required_integer(row: Json, name: str) -> int:
    """Return a field with an integer. Raises KeyError without the field, TypeError for another type."""
    value = row[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is not an integer: {value!r}")
    return value


def text(row: Json, name: str) -> str:
    """Return a field with a text; "" if it is missing or null."""
    return str(row.get(name) or "")


def integer(row: Json, name: str) -> int:
    """Return a field with an integer; 0 if it is missing or null. Raises TypeError for another type."""
    return required_integer(row, name) if row.get(name) is not None else 0


def moment(row: Json, name: str) -> datetime | None:
    """Return a field with Unix seconds as a time; None if it is missing or null."""
    seconds = row.get(name)
    return datetime.fromtimestamp(int(seconds), UTC) if isinstance(seconds, int | float) else None


def id_of(value: object) -> str:
    """Return the id of another object, which Stripe gives alone or within the expanded object.

    >>> id_of("in_1"), id_of({"id": "in_1", "object": "invoice"}), id_of(None)
    ('in_1', 'in_1', '')
    """
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def nested(parent: object, *path: str) -> Json:
    """Return the object at the end of a path of fields; an empty one if it is missing or only an id.

    >>> nested({"a": {"b": {"id": "in_1"}}}, "a", "b"), nested({"a": "in_1"}, "a"), nested(None)
    ({'id': 'in_1'}, {}, {})
    """
    value = parent
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def objects(value: object) -> list[Json]:
    """Return the objects of a JSON array; none if the value is not an array."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def listed(row: Json, name: str) -> list[Json]:
    """Return the objects of a field that holds one of Stripe's lists, ``{"data": […]}``."""
    return objects(nested(row, name).get("data"))


def currency_of(row: Json) -> str:
    """Return the object's currency as an ISO 4217 code in capitals; "" if it names none."""
    return text(row, "currency").upper()
