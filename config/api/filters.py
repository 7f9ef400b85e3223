"""Filters that several apps share."""

from datetime import UTC

import django_filters as filters
from django.forms import ValidationError
from django_filters.fields import IsoDateTimeField


class TimeField(IsoDateTimeField):
    """A moment that every database can compare with: checked here, not when the query runs."""

    def to_python(self, value):
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise ValidationError("This time is out of range.", code="invalid") from None


class TimeFilter(filters.IsoDateTimeFilter):
    field_class = TimeField
