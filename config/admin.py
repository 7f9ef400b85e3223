"""Base classes for the pages of the admin site."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html_join

from config import money
from config.errors import DomainError, NotVisible

Row = TypeVar("Row", bound=Model)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin):
        """Django's class, with the type parameter that its stubs give it."""

        def __class_getitem__(cls, model):
            return cls


class HouseAdmin(ModelAdmin[Row]):
    """The base of every page of the admin site."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list page. A filter value that cannot be read redirects to the unfiltered list."""
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError) as error:
            # Django does not catch these, so that ?created_at__year=0 would be an error page.
            raise IncorrectLookupParameters from error


class ReadOnlyAdmin(HouseAdmin[Row]):
    """A page for a table that the admin site shows and never changes."""

    show_full_result_count = False  # counting a large table costs more than showing a page of it

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


def shown(minor: int, currency: str) -> str:
    return f"{money.to_text(minor, currency)} {currency}"


def amount(field: str, title: str):
    """A column with an amount in the row's own currency."""

    @admin.display(description=title, ordering=field)
    def column(row):
        return shown(getattr(row, field), row.currency)

    return column


def carry_out(model_admin, request, rows: Iterable, act: Callable, done: str) -> None:
    """One service call a row; each refusal is a message of its own, and stops none of the others."""
    count = 0
    for row in rows:
        try:
            act(row)
        except (DomainError, NotVisible) as error:
            model_admin.message_user(request, f"{row}: {error.detail}", messages.ERROR)
        else:
            count += 1
    if count:
        model_admin.message_user(request, f"{done}: {count}.", messages.SUCCESS)


class ByService:
    """A form whose rows are made and changed by services, so that it stands in the audit log.

    Subclasses give ``make(actor, **fields)`` and ``change(row, actor, **fields)``.
    """

    def save_model(self, request, obj, form, change):
        if change:
            fields = {name: form.cleaned_data[name] for name in form.changed_data}
            saved = self.change(obj, request.user, **fields)
        else:
            saved = self.make(request.user, id=obj.pk, **form.cleaned_data)
        obj.__dict__.update(saved.__dict__)

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (
            DomainError,
            NotVisible,
            ValidationError,
        ) as error:  # somebody else was faster than this form
            text = " ".join(error.messages) if isinstance(error, ValidationError) else error.detail
            self.message_user(request, text, messages.ERROR)
            return self.response_post_save_change(request, None)

    def has_delete_permission(self, request, obj=None):
        return False


def table(head: tuple[str, ...], rows: Iterable[Iterable]) -> str:
    """A plain table; every value is escaped."""
    titles = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in head))
    lines = ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    body = format_html_join("", "<tr>{}</tr>", lines)
    return format_html_join(
        "", "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", [(titles, body)]
    )
