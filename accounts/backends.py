import time
import uuid

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AnonymousUser, Permission
from django.db.models import Model
from django.http import HttpRequest

from accounts.models import User
from accounts.roles import MODERATOR

# Seconds for which a process remembers a role's permissions. An operator's change to a role takes effect
# after this time at the latest.
ROLE_CACHE_SECONDS = 5.0

# By the role's id, or the group's name: the time of reading (time.monotonic) and the permission names.
_roles: dict[int | str, tuple[float, frozenset[str]]] = {}


def role_permissions(role_id: int) -> frozenset[str]:
    """Return the names of a role's permissions ("app.codename"), at most ROLE_CACHE_SECONDS old."""
    return _remembered(role_id, group=role_id)


def _remembered(key: int | str, **group: int | str) -> frozenset[str]:
    read_at, names = _roles.get(key, (float("-inf"), frozenset()))
    if time.monotonic() - read_at > ROLE_CACHE_SECONDS:
        rows = Permission.objects.filter(**group).values_list("content_type__app_label", "codename")
        names = frozenset(f"{app}.{codename}" for app, codename in rows)
        _roles[key] = (time.monotonic(), names)
    return names


def _moderator_permissions(user: User) -> frozenset[str]:
    return _remembered(MODERATOR, group__name=MODERATOR) if user.is_moderator else frozenset()


def forget_role_permissions() -> None:
    """Make this process read all roles again. Other processes do so after ROLE_CACHE_SECONDS."""
    _roles.clear()


class RoleBackend(ModelBackend):
    """An authentication back end that gives a user the permissions of their role.

    A moderator also has those of the group MODERATOR, and staff those of further groups.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        *,
        email: str | None = None,
        **kwargs: object,
    ) -> User | None:
        """Return the active user with this address and password, or None.

        Unknown addresses, known ones and those of deactivated users take the same time: as many hashes
        as the password has forms (`accounts.precis`).
        """
        address = email or username
        if not address or not password:
            return None
        # Django hashes for a user without a password too.
        user = User.objects.with_address(address) or User(password=UNUSABLE_PASSWORD_PREFIX)
        is_right = user.check_password(password)
        return user if is_right and self.user_can_authenticate(user) else None

    def get_all_permissions(
        self, user_obj: User | AnonymousUser, obj: Model | None = None
    ) -> set[str]:
        if isinstance(user_obj, AnonymousUser) or not user_obj.is_active or obj is not None:
            return set()
        names = {*role_permissions(user_obj.role_id), *_moderator_permissions(user_obj)}
        if not user_obj.is_staff:
            return names
        return names | super().get_all_permissions(user_obj)

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Model | None = None) -> bool:
        # The role's permissions are in memory. Only a question that they do not answer costs a query,
        # for the further groups of staff.
        if isinstance(user_obj, AnonymousUser) or not user_obj.is_active or obj is not None:
            return False
        if perm in role_permissions(user_obj.role_id) or perm in _moderator_permissions(user_obj):
            return True
        return user_obj.is_staff and super().has_perm(user_obj, perm, obj)

    def get_user(self, user_id: uuid.UUID | str) -> User | None:
        """Return the user of an admin site session, or None if the user is deactivated."""
        user = super().get_user(user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
