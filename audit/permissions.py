from rest_framework.permissions import BasePermission


class MayReadAudit(BasePermission):
    message = "Only administrators may read the audit log."

    def has_permission(self, request, view):
        return request.user.has_perm("audit.view_auditentry")
