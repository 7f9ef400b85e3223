from typing import Any

import django_filters as filters  # type: ignore[import-untyped]  # ships no types
from django import forms
from django.db.models import QuerySet

from audit.actions import AuditAction
from audit.models import AuditEntry
from config.api.filters import TimeFilter


class AddressFilter(filters.CharFilter):
    """A filter for one IP address, in any of its spellings."""

    field_class = forms.GenericIPAddressField


class AuditFilter(filters.FilterSet):
    actor = filters.UUIDFilter(field_name="actor_id", help_text="The id of a user.")
    action = filters.ChoiceFilter(choices=AuditAction.choices)
    target_type = filters.CharFilter(max_length=40, help_text="`video`, `order`, `user`, …")
    target_id = filters.CharFilter(max_length=64)
    method = filters.ChoiceFilter(
        choices=[(m, m) for m in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")]
    )
    status = filters.NumberFilter(min_value=100, max_value=599, help_text="HTTP status.")
    ip = AddressFilter(help_text="One IPv4 or IPv6 address.")
    from_ = TimeFilter(field_name="at", lookup_expr="gte")
    to = TimeFilter(field_name="at", lookup_expr="lt")
    format = filters.ChoiceFilter(choices=[("csv", "csv")], method="keep_all")

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def keep_all(
        self, queryset: QuerySet[AuditEntry], name: str, value: str
    ) -> QuerySet[AuditEntry]:
        return queryset  # the view applies the format; the filter only checks its value

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        by_name: dict[str, Any] = super().get_filters()
        by_name["from"] = by_name.pop("from_")  # `from` is a keyword of Python
        return by_name
