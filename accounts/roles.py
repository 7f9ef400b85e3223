"""The permissions of each role.

Permissions are named by strings ("app.codename"), because this app must not import the apps above it.
`manage.py seed` gives each role's group exactly these permissions, and fails on an unknown name.
"""

from django.db import models


class Role(models.TextChoices):
    """A role of a user. Every user has exactly one."""

    ADMIN = "ADMIN", "Administrator"
    CREATOR = "CREATOR", "Creator"
    VIEWER = "VIEWER", "Viewer"


# The group whose permissions a user has beside the role as long as ``is_moderator`` is set.
MODERATOR = "MODERATOR"

_CREATOR = {
    "videos.add_video",
    "payments.view_own_earnings",
    "payments.request_payout",
    "analytics.view_own_analytics",
    "webhooks.receive_own_events",
}

PERMISSIONS: dict[str, set[str]] = {
    Role.VIEWER: set(),
    Role.CREATOR: _CREATOR,
    Role.ADMIN: _CREATOR
    | {
        "accounts.manage_users",
        "accounts.view_user",
        "accounts.change_user",
        "accounts.view_refreshfamily",
        "accounts.view_apikey",
        "accounts.view_provideridentity",
        "accounts.change_apikey",
        "audit.view_auditentry",
        "audit.view_apirequest",
        "videos.view_any_video",
        "videos.change_any_video",
        "videos.delete_any_video",
        "videos.retry_any_video",
        "videos.watch_any_video",
        "videos.restore_video",
        "videos.moderate_video",
        "videos.view_video",
        "videos.change_video",
        "videos.view_processingjob",
        "payments.refund_order",
        "payments.answer_dispute",
        "payments.cancel_any_subscription",
        "payments.operate_sandbox",
        "payments.view_revenue",
        "payments.manage_payouts",
        "payments.write_off_debt",
        "payments.close_pool",
        "payments.replay_webhookevent",
        "payments.view_coupon",
        "payments.add_coupon",
        "payments.change_coupon",
        "payments.view_couponredemption",
        "payments.view_dispute",
        "payments.view_conversion",
        "payments.view_pool",
        "payments.view_poolshare",
        "payments.view_watchdaily",
        "payments.view_statement",
        "payments.view_payout",
        "payments.view_webhookevent",
        "payments.view_notice",
        "payments.view_ledgercheck",
        "payments.view_plan",
        "payments.add_plan",
        "payments.change_plan",
        "payments.view_order",
        "payments.view_payment",
        "payments.view_refund",
        "payments.view_subscription",
        "payments.view_invoice",
        "payments.view_entitlement",
        "payments.view_ledgeraccount",
        "payments.view_journalentry",
        "payments.view_transfer",
        "webhooks.receive_any_event",
        "webhooks.replay_delivery",
        "webhooks.view_endpoint",
        "webhooks.change_endpoint",
        "webhooks.view_event",
        "webhooks.view_delivery",
        "streaming.view_playbacksession",
        "analytics.view_platform_analytics",
        "analytics.view_videoview",
        "analytics.view_reaction",
    },
    MODERATOR: {"videos.moderate_video"},
}
