"""Who may see the dashboards."""

from rest_framework.permissions import BasePermission


class MaySeeOwnAnalytics(BasePermission):
    """Users with the permission ``analytics.view_own_analytics``: creators and administrators."""

    message = "Only creators have a dashboard. Ask an administrator to make you a creator."

    def has_permission(self, request, view):
        return request.user.has_perm("analytics.view_own_analytics")


class MaySeePlatformAnalytics(BasePermission):
    """Users with the permission ``analytics.view_platform_analytics``: administrators."""

    message = (
        "Only administrators may see the platform's dashboard."
        " Creators find their own at /api/v1/analytics/creator."
    )

    def has_permission(self, request, view):
        return request.user.has_perm("analytics.view_platform_analytics")
