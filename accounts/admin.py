from django.contrib import admin, messages
from django.contrib.auth.models import Group

from accounts import services
from accounts.errors import LastAdmin
from accounts.models import RefreshFamily, User
from config.admin import HouseAdmin, ReadOnlyAdmin

admin.site.site_header = admin.site.site_title = "Video on demand"
admin.site.index_title = "House-keeping"
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(HouseAdmin):
    """Users are looked at here; role and status change through the services of the API."""

    list_display = ["email", "display_name", "role", "is_active", "is_staff", "created_at"]
    list_filter = ["role", "is_active", "is_staff"]
    list_select_related = ["role"]
    search_fields = ["email", "display_name"]
    fields = [
        "id",
        "email",
        "display_name",
        "role",
        "is_active",
        "groups",
        "created_at",
        "last_login",
    ]
    readonly_fields = ["id", "email", "role", "is_active", "groups", "created_at", "last_login"]
    actions = ["activate", "deactivate"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request, queryset):
        self._set_active(request, queryset, is_active=True)

    @admin.action(description="Deactivate: tokens and playback end at once", permissions=["change"])
    def deactivate(self, request, queryset):
        self._set_active(request, queryset, is_active=False)

    def _set_active(self, request, queryset, *, is_active: bool):
        for user in queryset:
            try:
                services.set_active(user_id=user.pk, is_active=is_active, actor=request.user)
            except LastAdmin as error:
                self.message_user(request, f"{user}: {error.detail}", messages.ERROR)


@admin.register(RefreshFamily)
class RefreshFamilyAdmin(ReadOnlyAdmin):
    list_display = ["user", "created_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    fields = readonly_fields = ["user", "created_at", "expires_at", "revoked_at"]
