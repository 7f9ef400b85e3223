from typing import Any

from django.contrib import admin
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import api_keys, erasing, services, totp
from accounts.errors import NoSecondFactor
from accounts.forms import CODE_INPUT, CheckedSignIn, ProfileForm
from accounts.models import ApiKey, ProviderIdentity, RefreshFamily, User
from accounts.roles import Role
from config.admin import ReadOnlyAdmin, ServiceAdmin
from config.confirming import asks_first

admin.site.index_title = "What needs attention"
admin.site.unregister(Group)


class SignInForm(CheckedSignIn, AuthenticationForm):
    """The sign-in of the admin site."""

    only_staff = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["totp"].widget = UnfoldAdminTextInputWidget(attrs=CODE_INPUT)


admin.site.login_form = SignInForm


class SuspendedFilter(admin.SimpleListFilter):
    """Shows the creators whom moderators have suspended."""

    title = "suspension"
    parameter_name = "suspended"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "suspended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(suspended_at__isnull=False) if self.value() == "yes" else queryset


@admin.register(User)
class UserAdmin(ServiceAdmin[User]):
    """Users. The page edits the display name and the embedding sites; acts change role and status."""

    form = ProfileForm
    list_display = ["email", "display_name", "role", "is_moderator", "is_active", "created_at"]
    list_filter = ["role", "is_moderator", "is_active", SuspendedFilter]
    list_select_related = ["role"]
    search_fields = ["email", "display_name"]
    fields = [
        "id", "email", "email_verified", "display_name", "role", "is_moderator", "is_active",
        "suspended_at", "groups", "second_factor", "embed_domains", "created_at", "last_login",
    ]  # fmt: skip
    readonly_fields = [
        "id", "email", "email_verified", "role", "is_moderator", "is_active", "suspended_at", "groups",
        "second_factor", "created_at", "last_login",
    ]  # fmt: skip
    actions = [
        "make_viewer", "make_creator", "make_administrator", "appoint_moderator",
        "dismiss_moderator", "activate", "deactivate", "reset_second_factor", "erase",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="second factor")
    def second_factor(self, user: User) -> str:
        return "on" if totp.is_on(user) else "off"

    def change_row(
        self, actor: AbstractBaseUser | AnonymousUser, row: User, fields: dict[str, Any]
    ) -> User:
        by = actor if isinstance(actor, User) else None
        if not fields:
            return row
        # The form has written its values into ``row``, so that the log would miss the former ones.
        stored = User.objects.select_related("role").get(pk=row.pk)
        return services.change_profile(user=stored, actor=by, **fields)

    @asks_first(
        "Make viewer …",
        permission="change",
        title="Make these users viewers?",
        effect="They can no longer upload, sell or administer anything. Their videos stay.",
        button="Make viewer",
        done="Made viewer",
        offered=lambda user: user.role_name != Role.VIEWER,
    )
    def make_viewer(self, actor: User, user: User) -> None:
        services.set_role(user_id=user.pk, role=Role.VIEWER, actor=actor)

    @asks_first(
        "Make creator …",
        permission="change",
        title="Make these users creators?",
        effect="They may upload and sell videos. Administrators lose every other right.",
        button="Make creator",
        done="Made creator",
        offered=lambda user: user.role_name != Role.CREATOR,
    )
    def make_creator(self, actor: User, user: User) -> None:
        services.set_role(user_id=user.pk, role=Role.CREATOR, actor=actor)

    @asks_first(
        "Make administrator …",
        permission="change",
        title="Make these users administrators?",
        effect="They may do everything: see all users, move money, and end anybody's access.",
        button="Make administrator",
        done="Made administrator",
        offered=lambda user: user.role_name != Role.ADMIN,
    )
    def make_administrator(self, actor: User, user: User) -> None:
        services.set_role(user_id=user.pk, role=Role.ADMIN, actor=actor)

    @asks_first(
        "Appoint moderator …",
        permission="change",
        title="Appoint these users moderators?",
        effect="Beside their role, they may sign in here and see what moderators see.",
        button="Appoint moderator",
        done="Appointed",
        offered=lambda user: not user.is_moderator,
        ends_something=False,
    )
    def appoint_moderator(self, actor: User, user: User) -> None:
        services.set_moderator(user_id=user.pk, is_moderator=True, actor=actor)

    @asks_first(
        "Dismiss as moderator …",
        permission="change",
        title="Dismiss these moderators?",
        effect="They can no longer sign in here, unless they are administrators.",
        button="Dismiss",
        done="Dismissed",
        offered=lambda user: user.is_moderator,
    )
    def dismiss_moderator(self, actor: User, user: User) -> None:
        services.set_moderator(user_id=user.pk, is_moderator=False, actor=actor)

    @asks_first(
        "Activate …",
        permission="change",
        title="Activate these users?",
        effect="They can sign in again.",
        button="Activate",
        done="Activated",
        offered=lambda user: not user.is_active,
        ends_something=False,
    )
    def activate(self, actor: User, user: User) -> None:
        services.set_active(user_id=user.pk, is_active=True, actor=actor)

    @asks_first(
        "Deactivate …",
        permission="change",
        title="Deactivate these users?",
        effect="Their sign-ins and playback end at once, their subscriptions are not renewed, and their"
        " videos leave the shop. They can be activated again.",
        button="Deactivate",
        done="Deactivated",
        offered=lambda user: user.is_active,
    )
    def deactivate(self, actor: User, user: User) -> None:
        services.set_active(user_id=user.pk, is_active=False, actor=actor)

    @asks_first(
        "Take the second factor away …",
        permission="change",
        title="Take the second factor of these users away?",
        effect="They sign in with their password alone until they set a new one up, and are told"
        " by mail. Make sure that it is really they who ask.",
        button="Take away",
        done="Taken away",
        offered=totp.is_on,
    )
    def reset_second_factor(self, actor: User, user: User) -> None:
        if not totp.reset(user=user, actor=actor):
            raise NoSecondFactor()

    @asks_first(
        "Erase …",
        permission="change",
        title="Erase these accounts for good?",
        effect="Name, address and access go at once, and within minutes their videos with all files."
        " Books and the audit log keep an id. This cannot be undone.",
        button="Erase",
        done="Erased",
        offered=lambda user: not user.email.endswith(f"@{erasing.DOMAIN}"),
    )
    def erase(self, actor: User, user: User) -> None:
        erasing.begin(user_id=user.pk, actor=actor)


@admin.register(RefreshFamily)
class RefreshFamilyAdmin(ReadOnlyAdmin[RefreshFamily]):
    list_display = ["user", "created_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    fields = ["user", "created_at", "expires_at", "revoked_at"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin[ApiKey]):
    """API keys. Neither a key nor its digest is shown."""

    list_display = [
        "created_at", "user", "name", "scopes", "last_used_at", "expires_at", "revoked_at",
    ]  # fmt: skip
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["user"]
    search_fields = ["user__email", "name", "id"]
    exclude = ["digest"]
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_apikey")

    @asks_first(
        "Revoke …",
        permission="revoke",
        title="Revoke these API keys?",
        effect="Whatever uses them is refused at once. Their users can make new ones.",
        button="Revoke",
        done="Revoked",
        offered=lambda key: key.revoked_at is None,
    )
    def revoke(self, actor: User, key: ApiKey) -> None:
        api_keys.revoke(key_id=key.pk, actor=actor)


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(ReadOnlyAdmin[ProviderIdentity]):
    """Accounts at the OpenID Connect provider that sign users in."""

    list_display = ["user", "issuer", "subject", "created_at"]
    list_select_related = ["user"]
    search_fields = ["user__email", "subject", "id"]
    fields = ["user", "issuer", "subject", "created_at"]
