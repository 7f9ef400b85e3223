"""Filters that several apps use."""

from datetime import UTC, datetime
from typing import Any

import django_filters as filters  # type: ignore[import-untyped]  # ships no types
from django.forms import IntegerField, ValidationError
from django_filters.fields import IsoDateTimeField  # type: ignore[import-untyped]  # ships no types
from django_filters.rest_framework import (  # type: ignore[import-untyped]  # ships no types
    DjangoFilterBackend,
)
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.request import Request
from rest_framework.views import APIView


class FilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # the base has no types
    """django-filter, which checks no form for a request without query parameters."""

    def filter_queryset(self, request: Request, queryset: Any, view: APIView) -> Any:
        if not request.query_params:
            return queryset
        return super().filter_queryset(request, queryset, view)


class AskedFilterSet(filters.FilterSet):  # type: ignore[misc]  # the base has no types
    """A set of filters that makes those alone which the query names; django-filter copies all of them.

    Each of its filters reads the one parameter of its name, and none is required or has a default.
    """

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        if data:  # without a query, the OpenAPI document asks for all of them
            every = self.base_filters
            self.__dict__["base_filters"] = {name: every[name] for name in every if name in data}
        super().__init__(data, *args, **kwargs)


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


@extend_schema_field(OpenApiTypes.BOOL)
class TrueFalseFilter(filters.ChoiceFilter):  # type: ignore[misc]  # the base has no types
    """A filter that takes `true` or `false`, and refuses other words.

    django-filter's own BooleanFilter ignores a word that it does not know.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=[("true", "true"), ("false", "false")], **options)


class WholeNumberFilter(filters.NumberFilter):  # type: ignore[misc]  # the base has no types
    """A filter that takes a whole number; SQLite would compare with the whole part of any other."""

    field_class = IntegerField


class TimeFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]  # the base has no types
    field_class = TimeField
