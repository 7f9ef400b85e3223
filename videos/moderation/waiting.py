"""The clock of what waits for moderators: a reminder, because only people can decide it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Min
from django.utils import timezone

from videos.moderation.models import Appeal, ModerationCase
from videos.signals import moderation_waits

OVERDUE_AFTER = timedelta(days=3)


class Waiting(NamedTuple):
    """How many wait, and since when the oldest one does."""

    number: int
    since: datetime | None


def cases() -> Waiting:
    """Return the open cases."""
    rows = ModerationCase.objects.filter(status=ModerationCase.Status.OPEN)
    return Waiting(**rows.aggregate(number=Count("pk"), since=Min("opened_at")))


def appeals() -> Waiting:
    """Return the open appeals."""
    rows = Appeal.objects.filter(status=Appeal.Status.OPEN)
    return Waiting(**rows.aggregate(number=Count("pk"), since=Min("created_at")))


def remind() -> int:
    """Have the moderators told of what has waited for longer than OVERDUE_AFTER; return its number.

    The receiver writes one mail a day to each moderator, so it may run as often as it likes.
    """
    by = timezone.now() - OVERDUE_AFTER
    late_cases = ModerationCase.objects.filter(
        status=ModerationCase.Status.OPEN, opened_at__lte=by
    ).count()
    late_appeals = Appeal.objects.filter(status=Appeal.Status.OPEN, created_at__lte=by).count()
    if late_cases or late_appeals:
        moderation_waits.send(sender=ModerationCase, cases=late_cases, appeals=late_appeals)
    return late_cases + late_appeals
