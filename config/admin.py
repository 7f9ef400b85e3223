"""Base classes for the pages of the admin site."""

from typing import TYPE_CHECKING, TypeVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.http import HttpRequest

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
