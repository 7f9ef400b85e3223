"""What the pages of the admin site have in common."""

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters


class HouseAdmin(admin.ModelAdmin):
    def get_changelist_instance(self, request):
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError) as error:  # ?created_at__year=0 would be an error page
            raise IncorrectLookupParameters from error


class ReadOnlyAdmin(HouseAdmin):
    """A table that may only be looked at."""

    show_full_result_count = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
