from rest_framework.permissions import BasePermission


class MayManageUsers(BasePermission):
    message = "Only administrators may manage users."

    def has_permission(self, request, view):
        return request.user.has_perm("accounts.manage_users")
