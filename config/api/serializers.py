"""Reading the bodies of requests: quickly, and with all errors in one answer."""

from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from rest_framework import serializers


def validated(kind: type[serializers.Serializer[Any]], data: object) -> Any:
    """Return a valid body, as ``validated_data`` of the serializer. Raises ValidationError.

    Each new serializer copies its fields deeply, which takes longer than reading a small body. So all
    good bodies are read by one serializer; a bad one is read again by a new one, for its errors. It is
    for serializers that know neither instance nor context, and keep nothing of what they read.
    """
    try:
        return _reader(kind).run_validation(data)
    except serializers.ValidationError:
        again = kind(data=data)
        again.is_valid(raise_exception=True)
        return again.validated_data


@cache
def _reader(kind: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    if issubclass(kind, CompleteErrors):
        raise TypeError(f"{kind.__name__} keeps what it reads.")
    reader = kind()
    _ = reader.fields  # made here, and not by two threads at once
    return reader


class CompleteErrors(serializers.Serializer[Any]):
    """A serializer that reports the errors of its fields and those of ``validate`` in one answer.

    REST framework calls ``validate`` only when every field is valid, so that a client learns of the
    next error when the first is repaired. Here ``validate`` is also called with the valid fields alone,
    and must work with any of them. ``failed`` names the others: an error of ``validate`` for one of them
    is dropped, because the field has told its own.
    """

    failed: frozenset[str] = frozenset()
    _valid: MutableMapping[str, Any]

    def set_value(
        self, dictionary: MutableMapping[str, Any], keys: Sequence[str], value: Any
    ) -> None:
        """Keep the valid fields, which REST framework forgets when another field fails."""
        self._valid = dictionary
        super().set_value(dictionary, keys, value)

    def to_internal_value(self, data: Any) -> Any:
        self.failed, self._valid = frozenset(), {}
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors: Any = error.detail
            if not isinstance(errors, dict) or not isinstance(data, Mapping):  # no field was read
                raise
            self.failed = frozenset(errors)
            try:
                self.validate(self._valid)
            except (serializers.ValidationError, ModelValidationError) as more:
                errors = {**serializers.as_serializer_error(more), **errors}
            raise serializers.ValidationError(errors) from None
