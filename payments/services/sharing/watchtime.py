"""What was watched, day by day: the weights of the pool."""

import uuid
from datetime import date

from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.db.models.functions import Least
from django.utils import timezone

from payments.models import Order, Pool, WatchDaily
from payments.periods import Month
from videos.models import Video

DAY = 86_400  # seconds
SPEED_CAP = 3  # of the video's length, per subscriber and day


def record(*, user_id: uuid.UUID, video: Video, day: date, seconds: int, plan_seconds: int) -> None:
    """Add verified whole seconds to what a user watched of a video on a day (UTC).

    ``plan_seconds`` of them were watched under a subscription. A day counts for no more than 86400
    seconds, and for the pool no more than three times the video's length; what is beyond is left
    out, and of a video whose length is unknown nothing counts for the pool. Any number of callers
    may add at once, and nothing is lost. What is heard of a month that is closed already counts
    today.
    """
    if seconds < 0 or plan_seconds < 0:
        raise ValueError("Seconds that were watched are never negative.")
    if not seconds and not plan_seconds:
        return
    today = timezone.now().date()
    if Month.of(day) < Month.of(today) and (
        Pool.objects.filter(period=str(Month.of(day))).exists()
    ):
        day = today
    plan_cap = min(DAY, int(SPEED_CAP * (video.duration_seconds or 0)))
    row = WatchDaily.objects.filter(user_id=user_id, video_id=video.pk, day=day)
    added = {
        # Least(…) of the sum, not a limit on what is added: two callers may both be below the cap.
        "seconds": Least(F("seconds") + seconds, DAY),
        "plan_seconds": Least(F("plan_seconds") + plan_seconds, plan_cap),
    }
    if row.update(**added):
        return
    try:
        with transaction.atomic():
            WatchDaily.objects.create(
                user_id=user_id,
                video_id=video.pk,
                creator_id=video.creator_id,
                day=day,
                seconds=min(seconds, DAY),
                plan_seconds=min(plan_seconds, plan_cap),
            )
    except IntegrityError:  # somebody else made the row in between
        if not row.update(**added):
            raise


def watched_share(order: Order) -> float:
    """The part of the video that the buyer has watched since they paid: 0 to 1 (or beyond)."""
    duration = order.video.duration_seconds
    if not duration or order.paid_at is None:
        return 0.0
    days = WatchDaily.objects.filter(
        user_id=order.buyer_id, video_id=order.video_id, day__gte=order.paid_at.date()
    )
    return (days.aggregate(total=Sum("seconds"))["total"] or 0) / duration
