"""Values of fields as the database's driver takes them, for statements that are made once."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

Adapt = Callable[[Any, BaseDatabaseWrapper], Any]

# The types of values that a field hands to the driver as they are.
_PLAIN: dict[type, type] = {
    models.CharField: str,
    models.TextField: str,
    models.BooleanField: bool,
    models.IntegerField: int,
    models.BigIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveBigIntegerField: int,
    models.AutoField: int,
    models.BigAutoField: int,
    models.FloatField: float,
}


def plain(field: Any, connection: BaseDatabaseWrapper) -> type | None:
    """Return the type of a field's values that the driver takes as they are, if there is one."""
    field = _target(field)
    if type(field) is models.UUIDField:
        return uuid.UUID if connection.features.has_native_uuid_field else None
    return _PLAIN.get(type(field))


def adapting(field: Any, connection: BaseDatabaseWrapper) -> Adapt:
    """Return what does the same as the field's `get_db_prep_save`, quicker for its usual values."""
    prepare: Adapt = field.get_db_prep_save
    kind, as_it_is = type(_target(field)), plain(field, connection)
    if kind is models.UUIDField and as_it_is is None:
        return lambda value, connection: (
            value.hex if type(value) is uuid.UUID else prepare(value, connection)
        )
    if kind is models.DateTimeField:
        adapt = _sqlite_time if connection.vendor == "sqlite" else _time
        return lambda value, connection: (
            adapt(value)
            if type(value) is datetime and value.tzinfo is UTC and connection.timezone is UTC
            else prepare(value, connection)
        )
    if as_it_is is None:
        return prepare
    return lambda value, connection: (
        value if type(value) is as_it_is else prepare(value, connection)
    )


def _sqlite_time(value: datetime) -> str:
    return value.replace(tzinfo=None).isoformat(" ")


def _time(value: datetime) -> datetime:
    return value


def _target(field: Any) -> Any:
    while field.is_relation:
        field = field.target_field
    return field
