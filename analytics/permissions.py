from rest_framework.permissions import BasePermission


class MaySeeOwnAnalytics(BasePermission):
    message = "Only creators have a dashboard."

    def has_permission(self, request, view):
        return request.user.has_perm("analytics.view_own_analytics")


class MaySeePlatformAnalytics(BasePermission):
    message = "Only administrators may see the platform's dashboard."

    def has_permission(self, request, view):
        return request.user.has_perm("analytics.view_platform_analytics")
