from datetime import datetime
from typing import Any
from uuid import UUID

import django_filters as filters  # type: ignore[import-untyped]  # ships no types
from django import forms
from django.db.models import QuerySet

from audit.actions import AuditAction
from audit.models import ApiRequest, AuditEntry, Caller
from audit.requests import first_number
from config.api.filters import TimeFilter

Requests = QuerySet[ApiRequest]


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
    ip = AddressFilter(help_text="One IPv4 or IPv6 address.", unpack_ipv4=True)
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


class RequestFilter(AuditFilter):
    """The same filters on API requests, whose caller and time are stored in another way."""

    actor = filters.UUIDFilter(method="of_actor")
    action = filters.ChoiceFilter(choices=AuditAction.choices, method="of_action")
    target_type = filters.CharFilter(max_length=40, method="none")
    target_id = filters.CharFilter(max_length=64, method="none")
    ip = AddressFilter(method="of_address", unpack_ipv4=True)
    from_ = TimeFilter(field_name="number", lookup_expr="gte", method="since")
    to = TimeFilter(field_name="number", lookup_expr="lt", method="before")

    class Meta:
        model = ApiRequest
        fields: list[str] = []

    def of_actor(self, requests: Requests, name: str, value: UUID) -> Requests:
        return requests.filter(caller__in=Caller.objects.filter(actor=value))

    def of_address(self, requests: Requests, name: str, value: str) -> Requests:
        return requests.filter(caller__in=Caller.objects.filter(ip=value))

    def of_action(self, requests: Requests, name: str, value: str) -> Requests:
        return requests if value == AuditAction.API_REQUEST else requests.none()

    def none(self, requests: Requests, name: str, value: str) -> Requests:
        return requests.none()  # a request has no target

    def since(self, requests: Requests, name: str, value: datetime) -> Requests:
        return requests.filter(number__gte=first_number(value))

    def before(self, requests: Requests, name: str, value: datetime) -> Requests:
        return requests.filter(number__lt=first_number(value))
