"""A factory for API permissions that ask for one named permission of the user's role."""

from typing import ClassVar

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class RoleMay(BasePermission):
    """The base of the classes that `requires` makes."""

    permission: ClassVar[str]
    message: ClassVar[str]

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perm(self.permission)


def requires(permission: str, refusal: str) -> type[RoleMay]:
    """Return a permission class for REST framework that admits users with one named permission.

    ``permission`` is "app.codename", as `accounts/roles.py` lists it for each role. A signed-in user
    without it gets a 403 with ``refusal`` as its detail; a request without a token gets a 401.
    """

    class Required(RoleMay):
        message = refusal

    Required.permission = permission
    Required.__name__ = Required.__qualname__ = f"requires({permission!r})"
    return Required
