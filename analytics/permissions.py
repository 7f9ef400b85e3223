"""Who may see the dashboards."""

from config.api.permissions import requires

MaySeeOwnAnalytics = requires(
    "analytics.view_own_analytics",
    "Only creators have a dashboard. Ask an administrator to make you a creator.",
)
MaySeePlatformAnalytics = requires(
    "analytics.view_platform_analytics",
    "Only administrators may see the platform's dashboard."
    " Creators find their own at /api/v1/analytics/creator.",
)
