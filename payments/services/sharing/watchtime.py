"""Watch time by user, video and day: the weights by which pools are shared."""

import uuid
from datetime import date

from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.db.models.functions import Least
from django.utils import timezone

from payments import locks
from payments.models import Order, Pool, WatchDaily
from payments.periods import Month
from videos.models import Video

DAY = 86_400  # seconds
SPEED_CAP = 3  # of the video's length, per subscriber and day


def record(*, user_id: uuid.UUID, video: Video, day: date, seconds: int, plan_seconds: int) -> None:
    """Add verified whole seconds to the watch time of a user, a video and a day (UTC).

    ``plan_seconds`` of them weigh in the pool. A row holds at most 86400 seconds, and at most three
    times the video's length of plan seconds (none if the length is unknown); more is dropped. Seconds of
    a month that is closed are added to today instead; while it is being closed, the call waits. Safe for
    any number of concurrent callers, but not to repeat: each call adds. Raises ValueError for negative
    seconds.
    """
    if seconds < 0 or plan_seconds < 0:
        raise ValueError("Watched seconds cannot be negative.")
    if seconds or plan_seconds:
        with transaction.atomic(savepoint=False):
            _add(user_id, video, _open_day(day), seconds, plan_seconds)


def _open_day(day: date) -> date:
    """Return the day, or today if the month of the day is closed. A close waits for the transaction."""
    today = timezone.now().date()
    if Month.of(day) < Month.of(today):
        locks.lock_pool_accounts()
        if Pool.objects.filter(period=str(Month.of(day))).exists():
            return today
    return day


def _add(user_id: uuid.UUID, video: Video, day: date, seconds: int, plan_seconds: int) -> None:
    plan_cap = min(DAY, int(SPEED_CAP * (video.duration_seconds or 0)))
    row = WatchDaily.objects.filter(user_id=user_id, video_id=video.pk, day=day)
    added = {
        # The cap is on the sum in SQL, because two callers may both read a row below the cap.
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
    except IntegrityError:
        # Another caller has created the row in between, so that it can be updated now.
        if not row.update(**added):
            raise


def watched_share(order: Order) -> float:
    """Return the buyer's watch time since the day of their payment, divided by the video's length.

    More than 1 after repeated watching. 0 for an unpaid order and for an unknown length.
    """
    duration = order.video.duration_seconds
    if not duration or order.paid_at is None:
        return 0.0
    watched = WatchDaily.objects.filter(
        user_id=order.buyer_id, video_id=order.video_id, day__gte=order.paid_at.date()
    ).aggregate(seconds=Sum("seconds", default=0))
    return float(watched["seconds"] / duration)
