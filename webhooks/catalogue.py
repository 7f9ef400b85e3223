"""The types of events, and who may be told of each.

A new type gets a line here, a receiver in `receivers.py` and a line in `docs/webhooks.md`.
"""

from django.db import models


class EventType(models.TextChoices):
    """What has happened. Receivers compare the values, so a value must never be renamed."""

    VIDEO_READY = "video.ready", "All renditions of a video are there"
    VIDEO_FAILED = "video.failed", "The processing of a video has failed"
    VIDEO_REMOVED = "video.removed", "A video was deleted"
    REPORT_OPENED = "report.opened", "A video waits for a moderator's decision"
    REPORT_DECIDED = "report.decided", "A moderator has decided about a reported video"
    ORDER_PAID = "order.paid", "An order was paid"
    ORDER_REFUNDED = "order.refunded", "All money of an order was refunded, or is on its way back"
    SUBSCRIPTION_STARTED = "subscription.started", "A subscription has begun"
    SUBSCRIPTION_RENEWED = "subscription.renewed", "A new period of a subscription has begun"
    SUBSCRIPTION_PAST_DUE = "subscription.past_due", "The renewal of a subscription is not paid"
    SUBSCRIPTION_ENDED = "subscription.ended", "A subscription has ended"
    PAYOUT_PAID = "payout.paid", "A payout was paid by the bank"
    USER_REGISTERED = "user.registered", "A user has registered"
    USER_DEACTIVATED = "user.deactivated", "A user was deactivated"


# The types that a creator is told of, for their own videos and payouts. Administrators are told of all.
# Of reports, a creator is told the decisions that they get a mail about (`receivers.py`).
FOR_CREATORS = frozenset(
    {
        EventType.VIDEO_READY,
        EventType.VIDEO_FAILED,
        EventType.VIDEO_REMOVED,
        EventType.REPORT_OPENED,
        EventType.REPORT_DECIDED,
        EventType.PAYOUT_PAID,
    }
)
