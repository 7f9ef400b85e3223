"""Base classes for the pages of the admin site."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config import desk, emails, money
from config.confirming import ConfirmingAdmin
from config.errors import DomainError, NotVisible

Row = TypeVar("Row", bound=Model)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
else:
    from unfold.admin import ModelAdmin as UnfoldAdmin

    class ModelAdmin(UnfoldAdmin):
        """Django's class, with the type parameter that its stubs give it."""

        def __class_getitem__(cls, model):
            return cls


# How a column may be compared in the address of a list page. `regex` could stop a process, and
# `startswith` reads a column letter by letter.
COMPARISONS = {
    "exact", "in", "isnull", "gt", "gte", "lt", "lte", "date", "year", "month", "day", "id", "code",
}  # fmt: skip


class HouseAdmin(ConfirmingAdmin, ModelAdmin[Row]):
    """The base of every page of the admin site."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Return whether the address of a list may filter by a column: one that the list shows.

        Django itself allows every column of the table, such as the hash of a password.
        """
        column, *comparison = lookup.split(LOOKUP_SEP)
        filters = (
            each[0] if isinstance(each, tuple) else getattr(each, "parameter_name", each)
            for each in self.list_filter
        )
        shown = {self.date_hierarchy, *filters, *self.get_list_display(request)}
        return column in shown and set(comparison) <= COMPARISONS

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        """Find an e-mail address also by the letters of its domain, which is stored in ASCII."""
        found, has_repeats = super().get_search_results(request, queryset, search_term)
        stored = emails.in_ascii(search_term)
        if stored == search_term:
            return found, has_repeats
        more, more_repeats = super().get_search_results(request, queryset, stored)
        return found | more, has_repeats or more_repeats

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send readers of the audit log to what happened to the row; others see Django's own history."""
        if not request.user.has_perm("audit.view_auditentry"):
            return super().history_view(request, object_id, extra_context)
        about = {"target_type": self.opts.model_name, "target_id": unquote(object_id)}
        log = reverse(f"{self.admin_site.name}:audit_auditentry_changelist")
        return HttpResponseRedirect(f"{log}?{urlencode(about)}")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list page. A filter value that cannot be read redirects to the unfiltered list."""
        try:
            changelist = super().get_changelist_instance(request)
        except (ValueError, OverflowError) as error:
            # Django does not catch these, so that ?created_at__year=0 would be an error page.
            raise IncorrectLookupParameters from error
        changelist.title = desk.title_of(self.opts.label) or changelist.title
        return changelist


class ReadOnlyAdmin(HouseAdmin[Row]):
    """A page for a table that the admin site shows and never changes."""

    show_full_result_count = False  # counting a large table costs more than showing a page of it

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


class ServiceAdmin(HouseAdmin[Row]):
    """A page whose rows are created and changed by services, so that the audit log has each change.

    Subclasses implement `create_row` and `change_row`. Rows are never deleted here.
    """

    def create_row(self, actor: AbstractBaseUser | AnonymousUser, fields: dict[str, Any]) -> Row:
        """Create a row from all fields of the form and return it as it was saved."""
        raise NotImplementedError

    def change_row(
        self, actor: AbstractBaseUser | AnonymousUser, row: Row, fields: dict[str, Any]
    ) -> Row:
        """Change the row and return it as it was saved. ``fields`` holds only the fields that differ."""
        raise NotImplementedError

    def save_form(self, request: HttpRequest, form: "ModelForm[Row]", change: bool) -> Row:
        """Save the valid form through the service. Django logs and names the row that this returns."""
        row = super().save_form(request, form, change)
        if not change:
            return self.create_row(request.user, form.cleaned_data)
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        return self.change_row(request.user, row, changed)

    def save_model(
        self, request: HttpRequest, obj: Row, form: "ModelForm[Row]", change: bool
    ) -> None:
        """Do nothing: `save_form` has saved the row."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Answer the form. A refusal by the service is shown as a message above the list of rows.

        The form has checked its values before; a service still refuses them if another administrator
        has changed the row in the meantime.
        """
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (DomainError, NotVisible) as error:
            refusal = str(error.detail)
        except ValidationError as error:
            refusal = " ".join(error.messages)
        self.message_user(request, refusal, messages.ERROR)
        return self.response_post_save_change(request, None)  # the row is not read

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


def money_text(minor: int, currency: str) -> str:
    """Return an amount for people: ``money_text(1999, "USD")`` is "19.99 USD"."""
    return f"{money.to_text(minor, currency)} {currency}"


def percent_text(basis_points: int) -> str:
    """Return a part for people: ``percent_text(2550)`` is "25.5 %"."""
    return f"{basis_points / 100:g} %"


def money_column(
    field: str, title: str, *, currency: str = "currency"
) -> Callable[[ModelAdmin[Any], Model], str]:
    """Return a method of an admin page that shows a field of minor units with its currency.

    ``currency`` is the path from the row to the currency, such as "payment.currency". A list with this
    column can be sorted by it.
    """
    currency_of = attrgetter(currency)

    @admin.display(description=title, ordering=field)
    def column(page: ModelAdmin[Any], row: Model) -> str:
        return money_text(getattr(row, field), currency_of(row))

    return column


def percent_column(field: str, title: str) -> Callable[[ModelAdmin[Any], Model], str]:
    """Return a method of an admin page that shows a field of basis points as percent."""

    @admin.display(description=title, ordering=field)
    def column(page: ModelAdmin[Any], row: Model) -> str:
        return percent_text(getattr(row, field))

    return column


class MoneyAdmin(ReadOnlyAdmin[Row]):
    """A read-only page that shows amounts with their currency, and parts as percent.

    A method named after a field, such as ``amount_text`` for ``amount``, is shown in the field's place.
    """

    def get_fields(
        self, request: HttpRequest, obj: Row | None = None
    ) -> list[str | list[str] | tuple[str, ...]]:
        names = super().get_fields(request, obj)
        return [f"{name}_text" if hasattr(self, f"{name}_text") else name for name in names]


def html_table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> SafeString:
    """Return an HTML table. Every title and value is escaped."""
    titles = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in head))
    lines = ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    body = format_html_join("", "<tr>{}</tr>", lines)
    table = "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
    return format_html_join("", f'<div class="wide" tabindex="0">{table}</div>', [(titles, body)])
