from datetime import datetime
from typing import Any

import django_filters as filters  # type: ignore[import-untyped]  # ships no types
from django import forms
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, ForeignKey, QuerySet
from django.db.models.fields.related_lookups import RelatedLookupMixin
from django.db.models.lookups import Exact
from django.db.models.sql.compiler import SQLCompiler

from audit.actions import AuditAction
from audit.models import ApiRequest, AuditEntry, Caller
from audit.requests import first_number
from config.api.filters import TimeFilter, WholeNumberFilter

Requests = QuerySet[ApiRequest]

PROBED = 2000  # rows


@Field.register_lookup
class Checked(Exact):
    """Equality that SQLite shall check on the rows that another condition has found.

    A plus keeps it from using an index (https://www.sqlite.org/optoverview.html#uplus).
    """

    lookup_name = "checked"

    def get_rhs_op(self, connection: BaseDatabaseWrapper, rhs: str) -> str:
        return f"= {rhs}"

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, Any]:
        sql, parameters = super().as_sql(compiler, connection)
        return f"+{sql}", parameters


@ForeignKey.register_lookup
class CheckedKey(RelatedLookupMixin, Checked):
    pass


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
    status = WholeNumberFilter(min_value=100, max_value=599, help_text="HTTP status.")
    ip = AddressFilter(help_text="One IPv4 or IPv6 address.", unpack_ipv4=True)
    from_ = TimeFilter(field_name="at", lookup_expr="gte")
    to = TimeFilter(field_name="at", lookup_expr="lt")
    format = filters.ChoiceFilter(choices=[("csv", "csv")], method="keep_all")

    # In this order, the index of the first one holds the column of the second one.
    looked_up = ["target_id", "actor", "ip", "target_type", "action", "status", "method"]

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Return the rows that match.

        PostgreSQL knows how often a value occurs. SQLite does not, and would as soon look up a common
        one, so it is told which filter to look up.
        """
        given = [name for name in self.looked_up if self.form.cleaned_data[name]]
        if connections[queryset.db].vendor == "sqlite" and len(given) > 1:
            strongest = self.strongest(queryset, given)
            for name in given:
                if name != strongest:
                    self.filters[name].lookup_expr = Checked.lookup_name
        filtered: QuerySet[AuditEntry] = super().filter_queryset(queryset)
        return filtered

    def strongest(self, queryset: QuerySet[AuditEntry], given: list[str]) -> str:
        """Return the filter that leaves the fewest rows, or the first one if all leave many."""

        def rows(name: str) -> int:
            found = self.filters[name].filter(queryset, self.form.cleaned_data[name])
            count: int = found.values("pk")[:PROBED].count()
            return count

        return min(given, key=rows)

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
    """The same filters on API requests, whose time is stored in another way.

    The queryset is not filtered by caller: `audit.reading.Log` does that with `callers`.
    """

    actor = filters.UUIDFilter(method="keep_all")
    action = filters.ChoiceFilter(choices=AuditAction.choices, method="of_action")
    target_type = filters.CharFilter(max_length=40, method="none")
    target_id = filters.CharFilter(max_length=64, method="none")
    ip = AddressFilter(method="keep_all", unpack_ipv4=True)
    from_ = TimeFilter(field_name="number", lookup_expr="gte", method="since")
    to = TimeFilter(field_name="number", lookup_expr="lt", method="before")

    looked_up = ["actor", "ip", "status", "method"]

    class Meta:
        model = ApiRequest
        fields: list[str] = []

    def strongest(self, queryset: QuerySet[Any], given: list[str]) -> str:
        """Return the callers' filter, or the one that leaves the fewest rows."""
        return given[0] if given[0] in {"actor", "ip"} else super().strongest(queryset, given)

    def callers(self) -> QuerySet[Caller] | None:
        """Return the callers that valid filters ask for, or None without a filter for them."""
        given = self.form.cleaned_data
        asked = {name: given[name] for name in ("actor", "ip") if given[name]}
        if not asked:
            return None
        days = {"day__gte": given["from"], "day__lte": given["to"]}
        return Caller.objects.filter(
            **asked, **{name: time.date() for name, time in days.items() if time}
        )

    def of_action(self, requests: Requests, name: str, value: str) -> Requests:
        return requests if value == AuditAction.API_REQUEST else requests.none()

    def none(self, requests: Requests, name: str, value: str) -> Requests:
        return requests.none()  # a request has no target

    def since(self, requests: Requests, name: str, value: datetime) -> Requests:
        return requests.filter(number__gte=first_number(value))

    def before(self, requests: Requests, name: str, value: datetime) -> Requests:
        return requests.filter(number__lt=first_number(value))
