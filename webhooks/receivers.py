"""Reactions of webhooks to news of other apps: each announces one event, or does periodic work."""

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from accounts.models import User
from accounts.signals import user_deactivated, user_registered
from payments import gateways
from payments.models import Order, Payout, Subscription
from payments.signals import (
    order_paid,
    order_refunded,
    payout_changed,
    subscription_changed,
    subscription_renewed,
)
from videos.models import Video
from videos.moderation.models import ModerationCase
from videos.signals import (
    case_decided,
    case_opened,
    video_failed,
    video_published,
    video_removed,
    worker_tick,
)
from webhooks import payloads, sending, sweeping
from webhooks.catalogue import EventType
from webhooks.outbox import announce

SUBSCRIPTION_ENDS = {
    Subscription.Status.CANCELED,
    Subscription.Status.EXPIRED,
    Subscription.Status.INCOMPLETE_EXPIRED,
}


@receiver(user_registered, dispatch_uid="webhooks.tell_of_new_user")
def tell_of_new_user(sender: Any, user: User, **kwargs: Any) -> None:
    announce(EventType.USER_REGISTERED, about=user.pk, data=lambda: payloads.of_user(user))


@receiver(user_deactivated, dispatch_uid="webhooks.tell_of_deactivated_user")
def tell_of_deactivated_user(sender: Any, user: User, **kwargs: Any) -> None:
    announce(
        EventType.USER_DEACTIVATED,
        about=user.pk,
        key=timezone.now().isoformat(),  # each is a real change, with the user's row locked
        data=lambda: payloads.of_user(user),
    )


@receiver(video_published, dispatch_uid="webhooks.tell_of_ready_video")
def tell_of_ready_video(sender: Any, video: Video, **kwargs: Any) -> None:
    _tell_of_video(EventType.VIDEO_READY, video, key=video.current_version)


@receiver(video_failed, dispatch_uid="webhooks.tell_of_failed_video")
def tell_of_failed_video(sender: Any, video: Video, **kwargs: Any) -> None:
    job = video.job
    key = f"{job.pk}:{job.fence}" if job else ""
    _tell_of_video(EventType.VIDEO_FAILED, video, key=key)


@receiver(video_removed, dispatch_uid="webhooks.tell_of_removed_video")
def tell_of_removed_video(sender: Any, video: Video, **kwargs: Any) -> None:
    row = Video.objects.get(
        pk=video.pk
    )  # with its new deleted_at; it can be restored and deleted again
    _tell_of_video(EventType.VIDEO_REMOVED, row, key=row.deleted_at)


def _tell_of_video(event_type: EventType, video: Video, *, key: object) -> None:
    announce(
        event_type,
        about=video.pk,
        key=key,
        subject_id=video.creator_id,
        data=lambda: payloads.of_video(video),
    )


@receiver(case_opened, dispatch_uid="webhooks.tell_of_opened_report")
def tell_of_opened_report(
    sender: Any, case: ModerationCase, reason: str, is_told: bool, **kwargs: Any
) -> None:
    """Announce a case to administrators; also to the creator, if they are told that it is open again."""
    announce(
        EventType.REPORT_OPENED,
        about=case.pk,
        key=case.opened_at,
        subject_id=case.video.creator_id if is_told else None,
        data=lambda: payloads.of_case(case, reason=reason, note=""),
    )


@receiver(case_decided, dispatch_uid="webhooks.tell_of_decided_report")
def tell_of_decided_report(
    sender: Any, case: ModerationCase, note: str, is_told: bool, **kwargs: Any
) -> None:
    """Announce a decision to administrators; also to the creator, if they are told of it."""
    announce(
        EventType.REPORT_DECIDED,
        about=case.pk,
        key=f"{case.status}:{case.restored_at or case.decided_at}",
        subject_id=case.video.creator_id if is_told else None,
        data=lambda: payloads.of_case(case, reason=case.reason, note=note),
    )


@receiver(order_paid, dispatch_uid="webhooks.tell_of_paid_order")
def tell_of_paid_order(sender: Any, order: Order, **kwargs: Any) -> None:
    announce(EventType.ORDER_PAID, about=order.pk, data=lambda: payloads.of_order(order))


@receiver(order_refunded, dispatch_uid="webhooks.tell_of_refunded_order")
def tell_of_refunded_order(sender: Any, order: Order, **kwargs: Any) -> None:
    announce(EventType.ORDER_REFUNDED, about=order.pk, data=lambda: payloads.of_order(order))


@receiver(subscription_changed, dispatch_uid="webhooks.tell_of_subscription")
def tell_of_subscription(
    sender: Any, subscription: Subscription, before: str, **kwargs: Any
) -> None:
    """Announce a begin, a renewal, one that is past due, or an end; of other changes, nothing."""
    Status = Subscription.Status
    if subscription.status == Status.PAST_DUE:
        _tell_of_subscription(EventType.SUBSCRIPTION_PAST_DUE, subscription)
    elif subscription.status in SUBSCRIPTION_ENDS:
        if before in Subscription.RUNNING:  # one that was never paid has not begun
            _tell_of_subscription(EventType.SUBSCRIPTION_ENDED, subscription)
    elif before in Subscription.RUNNING and subscription.status == Status.ACTIVE:
        _tell_of_subscription(EventType.SUBSCRIPTION_RENEWED, subscription)
    elif before not in Subscription.RUNNING and subscription.status in Subscription.RUNNING:
        _tell_of_subscription(EventType.SUBSCRIPTION_STARTED, subscription)


@receiver(subscription_renewed, dispatch_uid="webhooks.tell_of_renewal")
def tell_of_renewal(sender: Any, subscription: Subscription, **kwargs: Any) -> None:
    _tell_of_subscription(EventType.SUBSCRIPTION_RENEWED, subscription)


def _tell_of_subscription(event_type: EventType, subscription: Subscription) -> None:
    announce(
        event_type,
        about=subscription.pk,
        key=subscription.ended_at or subscription.period_start,
        data=lambda: payloads.of_subscription(subscription),
    )


@receiver(payout_changed, dispatch_uid="webhooks.tell_of_payout")
def tell_of_payout(sender: Any, payout: Payout, **kwargs: Any) -> None:
    if payout.status == Payout.Status.PAID:
        announce(
            EventType.PAYOUT_PAID,
            about=payout.pk,
            subject_id=payout.creator_id,
            data=lambda: payloads.of_payout(payout),
        )


@receiver(worker_tick, dispatch_uid="webhooks.run_periodic_work")
def run_periodic_work(sender: Any, every: str, **kwargs: Any) -> None:
    """Send due deliveries, fail deliveries that have waited for too long, and remove old rows.

    Nothing is sent while payments are closed: a copy of a live database tells nobody.
    """
    if every == "second" and gateways.are_open():
        sending.send_due()
    elif every == "minute":
        sending.give_up_old()
    elif every == "hour":
        sweeping.sweep()
