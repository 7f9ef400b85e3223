from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import services
from accounts.errors import LastAdmin, WrongCredentials
from accounts.models import RefreshFamily, User
from accounts.roles import Role
from config.admin import HouseAdmin, ReadOnlyAdmin
from config.api.ratelimit import RateLimited
from config.errors import ServiceUnavailable

admin.site.site_header = admin.site.site_title = "Video on demand"
admin.site.index_title = "Administration"
admin.site.unregister(Group)


class SignInForm(AdminAuthenticationForm):
    """The sign-in of the admin site, with the limits and the records of the API's sign-in."""

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("username") and data.get("password") and self.request is not None:
            try:
                self.user_cache = services.user_of(
                    self.request, email=data["username"], password=data["password"], only_staff=True
                )
            except WrongCredentials:
                raise self.get_invalid_login_error() from None
            except ServiceUnavailable as away:
                raise ValidationError(str(away.detail)) from None
            except RateLimited as limited:
                raise ValidationError(
                    f"Too many attempts. Try again in {limited.usage.reset_seconds} seconds."
                ) from None
            services.record_sign_in(self.user_cache)
        return data


admin.site.login_form = SignInForm


@admin.register(User)
class UserAdmin(HouseAdmin[User]):
    """Users. The page edits the display name only; the actions change role and status."""

    list_display = ["email", "display_name", "role", "is_moderator", "is_active", "created_at"]
    list_filter = ["role", "is_moderator", "is_active"]
    list_select_related = ["role"]
    search_fields = ["email", "display_name"]
    fields = [
        "id", "email", "display_name", "role", "is_moderator", "email_verified", "is_active", "groups",
        "created_at", "last_login",
    ]  # fmt: skip
    readonly_fields = [
        "id", "email", "role", "is_moderator", "email_verified", "is_active", "groups", "created_at",
        "last_login",
    ]  # fmt: skip
    actions = [
        "make_viewer", "make_creator", "make_administrator", "appoint_moderator",
        "dismiss_moderator", "activate", "deactivate",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    @admin.action(description="Make viewer", permissions=["change"])
    def make_viewer(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_role, role=Role.VIEWER)

    @admin.action(description="Make creator (may upload and sell)", permissions=["change"])
    def make_creator(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_role, role=Role.CREATOR)

    @admin.action(description="Make administrator (may do everything)", permissions=["change"])
    def make_administrator(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_role, role=Role.ADMIN)

    @admin.action(description="Appoint moderator, beside the role", permissions=["change"])
    def appoint_moderator(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_moderator, is_moderator=True)

    @admin.action(description="Dismiss as moderator", permissions=["change"])
    def dismiss_moderator(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_moderator, is_moderator=False)

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_active, is_active=True)

    @admin.action(
        description="Deactivate (ends tokens, playback and renewals, and withdraws the videos)",
        permissions=["change"],
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._change(request, queryset, services.set_active, is_active=False)

    def _change(
        self,
        request: HttpRequest,
        queryset: QuerySet[User],
        service: Callable[..., User],
        **change: object,
    ) -> None:
        """Call the service for each user, and say for how many it was done and for whom not."""
        actor = request.user if isinstance(request.user, User) else None
        done = 0
        for user in queryset:
            try:
                service(user_id=user.pk, actor=actor, **change)
                done += 1
            except LastAdmin as error:
                self.message_user(request, f"{user}: {error.detail}", messages.ERROR)
        if done:
            self.message_user(request, f"Done for {done} user{'s' if done > 1 else ''}.")


@admin.register(RefreshFamily)
class RefreshFamilyAdmin(ReadOnlyAdmin[RefreshFamily]):
    list_display = ["user", "created_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    fields = ["user", "created_at", "expires_at", "revoked_at"]
