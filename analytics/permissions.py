from config.api.permissions import requires

MaySeeOwnAnalytics = requires("analytics.view_own_analytics", "Only creators have a dashboard.")
MaySeePlatformAnalytics = requires(
    "analytics.view_platform_analytics", "Only administrators may see the platform's dashboard."
)
