"""The vocabulary of the audit log: what can have happened."""

from django.db import models


class AuditAction(models.TextChoices):
    API_REQUEST = "api.request", "API request"

    USER_REGISTERED = "user.registered", "User registered"
    LOGIN_SUCCEEDED = "login.succeeded", "Login succeeded"
    LOGIN_FAILED = "login.failed", "Login failed"
    LOGGED_OUT = "user.logged_out", "Logged out"
    REFRESH_REUSED = "refresh.reused", "A dead refresh token was used again"
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
    VIDEO_RETRIED = "video.retried", "Processing asked for again"
    VIDEO_DELETED = "video.deleted", "Video deleted"
    VIDEO_RESTORED = "video.restored", "Video restored"

    ORDER_CREATED = "order.created", "Order created"
    ORDER_PAID = "order.paid", "Order paid"
    ORDER_REFUNDED = "order.refunded", "Order refunded"
    ORDER_CANCELED = "order.canceled", "Order canceled"
    PAYMENT_CAPTURED = "payment.captured", "Payment captured"
    PAYMENT_DECLINED = "payment.declined", "Payment declined"
    REFUND_SUCCEEDED = "refund.succeeded", "Refund succeeded"
    SUBSCRIPTION_STARTED = "subscription.started", "Subscription started"
    SUBSCRIPTION_CANCELED = "subscription.canceled", "Subscription canceled"
    SUBSCRIPTION_ENDED = "subscription.ended", "Subscription ended"
    ENTITLEMENT_GRANTED = "entitlement.granted", "Entitlement granted"
    ENTITLEMENT_REVOKED = "entitlement.revoked", "Entitlement revoked"

    PLAYBACK_STARTED = "playback.started", "Playback started"
    PLAYBACK_ENDED = "playback.ended", "Playback ended"
