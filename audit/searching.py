"""The questions of the admin site's log page: a form, and the part of the log that it asks for."""

import heapq
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.expressions import OrderBy
from rest_framework.request import Request

from audit import addresses
from audit.actions import AuditAction
from audit.filters import AuditFilter, Checked, RequestFilter
from audit.models import ApiRequest, AuditEntry
from audit.reading import Log, LogPagination, place
from config.api.filters import TimeField

ROWS_A_PAGE = 50
CHANGES, REQUESTS, BOTH = "changes", "requests", "all"


class AnyOf:
    """Several selections of audit entries, read as one in their order.

    Each has an index of its own, which one query with OR would not use for the order. It has the methods
    of a queryset that `audit.reading` calls.
    """

    def __init__(self, parts: Iterable[QuerySet[AuditEntry]], most: int | None = None) -> None:
        self.parts, self.most = list(parts), most

    def filter(self, *conditions: Q) -> "AnyOf":
        return AnyOf(part.filter(*conditions) for part in self.parts)

    def prefetch_related(self, *lookups: Any) -> "AnyOf":
        return AnyOf(part.prefetch_related(*lookups) for part in self.parts)

    def order_by(self, *order: str | OrderBy) -> "AnyOf":
        return AnyOf(part.order_by(*order) for part in self.parts)

    def __getitem__(self, rows: slice) -> "AnyOf":
        return AnyOf((part[rows] for part in self.parts), rows.stop)

    def __iter__(self) -> Iterator[AuditEntry]:
        """Yield each entry once, of each part the first ones. The order is left to the caller."""
        return iter({entry.pk: entry for part in self.parts for entry in part}.values())

    def iterator(self, chunk_size: int) -> Iterator[AuditEntry]:
        """Yield each entry once, the newest first."""
        parts = (part.iterator(chunk_size=chunk_size) for part in self.parts)
        before = None
        for entry in heapq.merge(*parts, key=place, reverse=True):
            if entry.pk != before:
                yield entry
            before = entry.pk


class SearchFilter(AuditFilter):
    """The filters beside a search: they are checked on the rows that the search has found."""

    def filter_queryset(self, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        for name in self.looked_up:
            self.filters[name].lookup_expr = Checked.lookup_name
        return super().filter_queryset(queryset)

    def strongest(self, queryset: QuerySet[AuditEntry], given: list[str]) -> str:
        return given[0]


class LogForm(forms.Form):
    """The filters of the log page. A value that cannot be read is refused, as is an unknown filter."""

    q = forms.CharField(
        label="Search",
        max_length=254,
        required=False,
        help_text="The id of an entry, a thing, a user or a request, or an e-mail address.",
    )
    actor = forms.CharField(
        label="By", max_length=254, required=False, help_text="A user's e-mail address or id."
    )
    action = forms.ChoiceField(
        choices=[("", "Any action"), *AuditAction.choices], required=False, label="Action"
    )
    target_type = forms.CharField(label="Kind of thing", max_length=40, required=False)
    target_id = forms.CharField(label="Id of the thing", max_length=64, required=False)
    ip = forms.GenericIPAddressField(label="IP address", required=False, unpack_ipv4=True)
    status = forms.IntegerField(label="HTTP status", min_value=100, max_value=599, required=False)
    to = TimeField(label="Before (UTC)", required=False)
    lines = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[
            ("", "As the filters ask"),
            (CHANGES, "Changes"),
            (REQUESTS, "API requests"),
            (BOTH, "Both"),
        ],
    )

    OTHERS = frozenset({"cursor", "format"})  # parameters of the page that are no filters
    order = [
        "q", "actor", "action", "from", "to", "target_type", "target_id", "ip", "status", "lines",
    ]  # fmt: skip
    usual_count = 5  # of order: shown at once, the others under "More filters"

    def __init__(self, data: Mapping[str, Any], *, lines: str = CHANGES, **more: Any) -> None:
        super().__init__(data, **more)
        self.usual = lines
        self.fields["from"] = TimeField(label="From (UTC)", required=False)
        for name in ("from", "to"):
            self.fields[name].widget = forms.TextInput(attrs={"placeholder": "2026-03-01T14:00"})
        self.fields["target_type"].widget.attrs["list"] = "kinds"
        self.order_fields(self.order)

    def usual_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.order[: self.usual_count]]

    def more_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.order[self.usual_count :]]

    def has_more(self) -> bool:
        """Return whether a filter under "More filters" was given."""
        return any(field.value() for field in self.more_fields())

    def clean_actor(self) -> str:
        """Return the id of the user, also of one who has been deleted."""
        text: str = self.cleaned_data["actor"]
        if not text:
            return ""
        if "@" in text:
            user = _user_with(text)
            if user is None:
                raise ValidationError(
                    "No user has this address. Failed sign-ins with it are found by Search."
                )
            return str(user.pk)
        try:
            return str(uuid.UUID(text))
        except ValueError:
            raise ValidationError("Enter an e-mail address or the id of a user.") from None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for name in sorted(set(self.data) - set(self.fields) - self.OTHERS):
            self.add_error(None, f"There is no filter called {name[:40]}.")
        return data

    def shows(self) -> str:
        """Return which lines are shown: CHANGES, REQUESTS or BOTH.

        Unless it was chosen, a filter that only API requests can match shows them too.
        """
        data = self.cleaned_data
        of_requests = data["status"] or data["action"] == AuditAction.API_REQUEST
        lines: str = data["lines"] or (BOTH if of_requests else self.usual)
        return lines

    def asked(self) -> dict[str, str]:
        """Return the filters as `audit.filters.AuditFilter` reads them."""
        names = ("actor", "action", "target_type", "target_id", "ip", "status", "from", "to")
        given = {name: self.cleaned_data[name] for name in names if self.cleaned_data[name]}
        return {
            name: value.isoformat() if hasattr(value, "isoformat") else str(value)
            for name, value in given.items()
        }

    def log(self, *, requests: bool) -> Log:
        """Return the lines that the valid form asks for; those of API requests only if ``requests``."""
        asked, lines, text = self.asked(), self.shows(), self.cleaned_data["q"]
        of_entries = SearchFilter if text else AuditFilter
        entries = of_entries(asked, AuditEntry.objects.prefetch_related("actor")).qs
        wanted = RequestFilter(asked, ApiRequest.objects.prefetch_related("caller__actor"))
        found, callers = wanted.qs, wanted.callers()
        if lines == REQUESTS:
            entries = entries.none()
        elif text:
            parts = [entries.filter(condition) for condition in _meanings(text)]
            entries = cast("QuerySet[AuditEntry]", AnyOf(parts))
        if lines == CHANGES or text or not requests:
            found, callers = ApiRequest.objects.none(), None
        return Log(entries, found, callers)


def _user_with(email: str) -> Any:
    manager: Any = get_user_model()._default_manager
    return manager.with_address(email)


def _meanings(text: str) -> list[Q]:
    """Return the conditions for the entries that a text of the search may mean."""
    if "@" in text:
        user = _user_with(text)
        if user is None:
            return [Q(target_id=addresses.named(text).id)]
        return [Q(target_id=str(user.pk)), Q(actor_id=user.pk)]
    conditions = [Q(target_id=text[:64]), Q(request_id=text[:128])]
    try:
        number = uuid.UUID(text)
    except ValueError:
        return conditions
    return [*conditions, Q(target_id=str(number)), Q(actor_id=number), Q(pk=number)]


class LogPage(LogPagination):
    """One page of the log, the newest first, by a cursor."""

    def _page_size(self, request: Request) -> int:
        return ROWS_A_PAGE

    def _ordering(self, request: Request, view: Any) -> tuple[str, bool]:
        return "at", True
