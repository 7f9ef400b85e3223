import time

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission

# A role's permissions change when an operator changes the group: they are read again this often.
ROLE_CACHE_SECONDS = 5.0

_roles: dict[int, tuple[float, frozenset[str]]] = {}


def role_permissions(role_id: int) -> frozenset[str]:
    """The permission names of a role's group, at most ROLE_CACHE_SECONDS old."""
    read_at, names = _roles.get(role_id, (float("-inf"), frozenset()))
    if time.monotonic() - read_at > ROLE_CACHE_SECONDS:
        found = Permission.objects.filter(group=role_id).values_list(
            "content_type__app_label", "codename"
        )
        names = frozenset(f"{app}.{codename}" for app, codename in found)
        _roles[role_id] = (time.monotonic(), names)
    return names


def forget_role_permissions() -> None:
    _roles.clear()


class RoleBackend(ModelBackend):
    """Permissions of the user's role, and for staff those of their further groups."""

    def get_all_permissions(self, user_obj, obj=None):
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        names = role_permissions(user_obj.role_id)
        if not user_obj.is_staff:
            return names
        return names | super().get_all_permissions(user_obj)

    def has_perm(self, user_obj, perm, obj=None):
        # The role answers for nearly everything; only for the rest are a staff member's groups read.
        by_role = user_obj.is_active and not user_obj.is_anonymous and obj is None
        if by_role and perm in role_permissions(user_obj.role_id):
            return True
        return super().has_perm(user_obj, perm, obj)

    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
