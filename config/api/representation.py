"""Answers without REST framework's fields: a serializer's class is compiled to plain functions.

REST framework builds the fields of a serializer anew for each request, and copies them deeply: most of
the time of an answer. The serializers stay the only description of the answers, also for the OpenAPI
document.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

from django.db.models import Manager
from rest_framework import serializers
from rest_framework.fields import SkipField
from rest_framework.relations import PKOnlyObject

# Reads one field: gets the serializer, for its methods and its context, and the object.
Reader = Callable[[Any, Any], Any]


class Compiled(serializers.Serializer[Any]):
    """A serializer that writes objects with the functions that its class is compiled to.

    The answer is that of REST framework. A class that changes its fields for single requests cannot be
    compiled; nested serializers may not have methods, because they would have no context.
    """

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return self.represent(instance)

    def represent(self, instance: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the object's fields by name, without the named ones."""
        return _represent(readers(type(self), without), self, instance)


def _represent(parts: list[tuple[str, Reader]], serializer: Any, instance: Any) -> dict[str, Any]:
    answer = {}
    for name, read in parts:
        try:
            answer[name] = read(serializer, instance)
        except SkipField:
            continue
    return answer


@cache
def readers(
    kind: type[serializers.Serializer[Any]], without: tuple[str, ...] = ()
) -> list[tuple[str, Reader]]:
    """Return the functions that read the fields of a serializer's class, by name."""
    model = getattr(getattr(kind, "Meta", None), "model", None)
    columns = {each.attname for each in model._meta.concrete_fields} if model else set()
    return [
        (name, _reader(field, is_column=field.source in columns))
        for name, field in kind().fields.items()
        if not field.write_only and name not in without
    ]


def _reader(field: Any, *, is_column: bool) -> Reader:
    if isinstance(field, serializers.SerializerMethodField):
        name = field.method_name
        return lambda serializer, instance: getattr(serializer, name)(instance)
    write = _writer(field)
    if field.source == "*" or type(field).get_attribute is not serializers.Field.get_attribute:
        return _reader_of_own_attribute(field, write)
    get = attrgetter(field.source)

    def read_column(serializer: Any, instance: Any) -> Any:
        value = get(instance)
        return None if value is None else write(value)

    def read(serializer: Any, instance: Any) -> Any:
        if type(instance) is dict:
            return _item(field, write, instance)
        try:
            value = get(instance)
        except AttributeError:  # a field that may be missing
            value = field.get_attribute(instance)
        if value is None:
            return None
        return write(field.get_attribute(instance) if callable(value) else value)

    return read_column if is_column else read


def _item(field: Any, write: Callable[[Any], Any], instance: dict[str, Any]) -> Any:
    value = instance.get(field.source)
    if value is None or callable(value):
        value = field.get_attribute(instance)
    return None if value is None else write(value)


def _reader_of_own_attribute(field: Any, write: Callable[[Any], Any]) -> Reader:
    def read(serializer: Any, instance: Any) -> Any:
        value = field.get_attribute(instance)
        missing = (value.pk if isinstance(value, PKOnlyObject) else value) is None
        return None if missing else write(value)

    return read


def _writer(field: Any) -> Callable[[Any], Any]:
    """Return a function that does what the field's ``to_representation`` does."""
    if isinstance(field, serializers.ListSerializer):
        one = _nested(field.child)
        return lambda values: [
            one(value) for value in (values.all() if isinstance(values, Manager) else values)
        ]
    if isinstance(field, serializers.Serializer):
        return _nested(field)
    plain: dict[Any, Callable[[Any], Any]] = {
        serializers.CharField.to_representation: str,
        serializers.IntegerField.to_representation: int,
        serializers.FloatField.to_representation: float,
        serializers.DateTimeField.to_representation: lambda value: _time(field, value),
        serializers.BooleanField.to_representation: lambda value: (
            value if isinstance(value, bool) else field.to_representation(value)
        ),
    }
    write: Callable[[Any], Any] = plain.get(type(field).to_representation, field.to_representation)
    return write


def _nested(field: Any) -> Callable[[Any], Any]:
    kind: type[serializers.Serializer[Any]] = type(field)
    if any(isinstance(each, serializers.SerializerMethodField) for each in field.fields.values()):
        raise TypeError(f"{kind.__name__} has methods, and is a field of a compiled serializer.")
    if kind.to_representation is not serializers.Serializer.to_representation:
        write: Callable[[Any], Any] = field.to_representation
        return write
    parts = readers(kind)
    return lambda instance: _represent(parts, field, instance)


def _time(field: Any, value: Any) -> Any:
    """Return a time as REST framework writes it; those of the database are in UTC already."""
    if isinstance(value, datetime) and value.tzinfo is UTC:
        return f"{value.isoformat()[:-6]}Z"
    return field.to_representation(value)
