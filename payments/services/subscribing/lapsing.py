"""Subscriptions that end here, because nobody paid in time or the gateway knows them no more."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from payments import locks
from payments.gateways.translation import translate_errors
from payments.models import Subscription
from payments.services import access
from payments.services.subscribing import follow_gateway

Status = Subscription.Status
# A subscription that is still incomplete after this time is given up. Its checkout expires then too.
ABANDONED_AFTER = timedelta(hours=24)
RESYNCS_AT_ONCE = 100


def end_lapsed() -> int:
    """End the subscriptions that were not paid in time. Return how many were ended. Safe to repeat.

    An unpaid renewal ends with its grace period, a paused subscription as many days after its period,
    and an incomplete one after ABANDONED_AFTER. A subscription whose period is over is compared with
    the gateway instead, because its renewal or end may have gone unnoticed. Access does not wait for
    this job: it ends by the clock.
    """
    now = timezone.now()
    graceless = Subscription.objects.filter(status=Status.PAST_DUE, grace_until__lte=now)
    abandoned = Subscription.objects.filter(
        status=Status.INCOMPLETE, created_at__lte=now - ABANDONED_AFTER
    )
    grace = timedelta(days=settings.SUBSCRIPTION_GRACE_DAYS)
    forgotten = Subscription.objects.filter(status=Status.PAUSED, period_end__lte=now - grace)
    ended = 0
    for rows, status in (
        (graceless, Status.EXPIRED),
        (forgotten, Status.EXPIRED),
        (abandoned, Status.INCOMPLETE_EXPIRED),
    ):
        for pk in list(rows.values_list("pk", flat=True)):
            with transaction.atomic():
                row = locks.lock_subscription(pk)
                if rows.filter(pk=pk).exists():
                    follow_gateway.end_subscription(row, status)
                    ended += 1
    over = Subscription.objects.filter(
        status__in=[Status.TRIALING, Status.ACTIVE],
        period_end__lte=now - access.PERIOD_GRACE,
        external_id__isnull=False,
    )
    for row in over.order_by("period_end")[:RESYNCS_AT_ONCE]:
        try:
            follow_gateway.resync(row)
        except OSError:
            break  # the gateway does not answer: the job runs again in a minute
        row.refresh_from_db(fields=["status"])
        ended += row.status not in Subscription.LIVE
    return ended


def end_if_lapsed(subscription: Subscription) -> bool:
    """End a subscription whose access is over by the clock, unless the gateway knows of its renewal.

    One that the gateway has no more ends too: it would end with its period.

    Return whether it has ended, so that the user can subscribe again. Raises GatewayUnavailable.
    """
    if subscription.closed_at_gateway:
        with transaction.atomic():
            locked = locks.lock_subscription(subscription.pk)
            if locked.closed_at_gateway:
                follow_gateway.end_subscription(locked, Status.CANCELED)
            return locked.status not in Subscription.LIVE
    until = access.access_until(subscription)
    if until is None or until > timezone.now():
        return False
    with translate_errors():
        follow_gateway.resync(subscription)
    with transaction.atomic():
        locked = locks.lock_subscription(subscription.pk)
        until = access.access_until(locked)
        if until is not None and until <= timezone.now():
            follow_gateway.end_subscription(locked, Status.EXPIRED)
        return locked.status not in Subscription.LIVE
