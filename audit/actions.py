"""The actions that the audit log records."""

from django.db import models


class AuditAction(models.TextChoices):
    """An action of a user, of an administrator or of the service itself.

    The values are stored in entries that can never be changed, so a value must never be renamed.
    """

    API_REQUEST = "api.request", "API request"
    REQUESTS_DROPPED = "audit.dropped", "API requests that could not be recorded"

    USER_REGISTERED = "user.registered", "User registered"
    LOGIN_SUCCEEDED = "login.succeeded", "Login succeeded"
    LOGIN_FAILED = "login.failed", "Login failed"
    LOGGED_OUT = "user.logged_out", "Logged out"
    REFRESH_REUSED = "refresh.reused", "Used refresh token presented again"
    PASSWORD_CHANGED = "user.password_changed", "Password changed"
    PROFILE_CHANGED = "user.profile_changed", "Profile changed"
    ROLE_CHANGED = "user.role_changed", "Role changed"
    USER_ACTIVATED = "user.activated", "User activated"
    USER_DEACTIVATED = "user.deactivated", "User deactivated"

    VIDEO_CREATED = "video.created", "Video created"
    VIDEO_CHANGED = "video.changed", "Video changed"
    VIDEO_UPLOADED = "video.uploaded", "File uploaded"
    VIDEO_PROCESSING = "video.processing", "Processing started"
    VIDEO_READY = "video.ready", "Video ready"
    VIDEO_FAILED = "video.failed", "Processing failed"
    VIDEO_RETRIED = "video.retried", "Processing retried"
    VIDEO_DELETED = "video.deleted", "Video deleted"
    VIDEO_RESTORED = "video.restored", "Video restored"

    ORDER_CREATED = "order.created", "Order created"
    ORDER_PAID = "order.paid", "Order paid"
    ORDER_REFUNDED = "order.refunded", "Order refunded"
    ORDER_CANCELED = "order.canceled", "Order canceled"
    PAYMENT_CAPTURED = "payment.captured", "Payment captured"
    PAYMENT_DECLINED = "payment.declined", "Payment declined"
    REFUND_SUCCEEDED = "refund.succeeded", "Refund succeeded"
    REFUND_FAILED = "refund.failed", "Refund failed"
    DISPUTE_OPENED = "dispute.opened", "Dispute opened"
    DISPUTE_CLOSED = "dispute.closed", "Dispute decided by the bank"
    WEBHOOK_REPLAYED = "webhook.replayed", "Webhook event replayed"
    COUPON_CHANGED = "coupon.changed", "Coupon created or changed"
    PLAN_CHANGED = "plan.changed", "Plan created or changed"
    SUSPENSE_SETTLED = "suspense.settled", "Unmatched payment sent back"
    POOL_CLOSED = "pool.closed", "Month closed, pool shared"
    PAYOUT_REQUESTED = "payout.requested", "Payout requested"
    PAYOUT_APPROVED = "payout.approved", "Payout approved"
    PAYOUT_SENT = "payout.sent", "Payout sent to the bank"
    PAYOUT_SETTLED = "payout.settled", "Payout paid, failed or canceled"
    DEBT_WRITTEN_OFF = "debt.written_off", "Creator's debt written off"
    SANDBOX_MOVED = "sandbox.moved", "Sandbox changed by hand"
    SUBSCRIPTION_STARTED = "subscription.started", "Subscription started"
    SUBSCRIPTION_CANCELED = "subscription.canceled", "Subscription canceled"
    SUBSCRIPTION_RENEWED = "subscription.renewed", "Subscription renewed"
    SUBSCRIPTION_RESUMED = "subscription.resumed", "Subscription resumed"
    SUBSCRIPTION_CHANGED = "subscription.changed", "Plan of a subscription changed"
    SUBSCRIPTION_PAST_DUE = "subscription.past_due", "Renewal failed"
    PAYMENT_METHOD_CHANGED = "subscription.method_changed", "Payment method changed"
    SUBSCRIPTION_ENDED = "subscription.ended", "Subscription ended"
    ENTITLEMENT_GRANTED = "entitlement.granted", "Entitlement granted"
    ENTITLEMENT_REVOKED = "entitlement.revoked", "Entitlement revoked"

    PLAYBACK_STARTED = "playback.started", "Playback started"
    PLAYBACK_ENDED = "playback.ended", "Playback ended"
