"""Filters that several apps use."""

from datetime import UTC, datetime

import django_filters as filters  # type: ignore[import-untyped]  # ships no types
from django.forms import ValidationError
from django_filters.fields import IsoDateTimeField  # type: ignore[import-untyped]  # ships no types


class TimeField(IsoDateTimeField):  # type: ignore[misc]  # the base has no types
    """An ISO 8601 time in the range of UTC times from year 1 to 9999.

    The range is checked here because a time outside of it would fail in the database.
    """

    def to_python(self, value: object) -> datetime | None:
        time: datetime | None = super().to_python(value)
        try:
            return time and time.astimezone(UTC)
        except OverflowError:
            raise ValidationError("This time is out of range.", code="invalid") from None


class TimeFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]  # the base has no types
    field_class = TimeField
