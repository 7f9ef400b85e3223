"""The subscribers' money: who watched what, how it was shared, what was paid out."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7
from videos.models import Video

USER = settings.AUTH_USER_MODEL


class WatchDaily(models.Model):
    """What one user watched of one video on one day (UTC), in verified whole seconds.

    ``plan_seconds`` of them were watched under a subscription, at no more than the speed of the
    clock and three times the video's length: they are the weights of the pool.
    """

    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    video = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="+")
    creator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    seconds = models.PositiveIntegerField(default=0)
    plan_seconds = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "watched days"
        constraints = [
            models.UniqueConstraint(fields=["user", "video", "day"], name="watched_once_a_day"),
            models.CheckConstraint(
                name="watched_a_day_at_most",
                condition=Q(seconds__lte=86_400, plan_seconds__lte=86_400),
            ),
        ]
        indexes = [
            # The weights of a period.
            models.Index(
                fields=["day"], name="watched_under_plan", condition=Q(plan_seconds__gt=0)
            ),
        ]

    def __str__(self):
        return f"{self.user_id} watched {self.video_id} on {self.day}: {self.seconds} s"


class Pool(models.Model):
    """The creators' part of a month's subscriptions in one currency. Written when it is closed."""

    class Algorithm(models.TextChoices):
        PRORATA = "prorata-v1", "by all watch time"
        USER_CENTRIC = "user-centric-v1", "each subscriber's money by what they watched"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    period = models.CharField(max_length=7, help_text="YYYY-MM")
    currency = models.CharField(max_length=3)
    balance = models.BigIntegerField("in the pool when it was closed, minor units")
    amount = models.BigIntegerField("shared out, minor units")
    total_seconds = models.BigIntegerField()
    algorithm = models.CharField(max_length=20, choices=Algorithm)
    input_sha256 = models.CharField(max_length=64)
    closed_at = models.DateTimeField(default=timezone.now)
    closed_by = models.ForeignKey(USER, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        permissions = [("close_pool", "Can close a month and share its pool")]
        constraints = [
            models.UniqueConstraint(fields=["period", "currency"], name="pool_once"),
            models.CheckConstraint(name="pool_amount", condition=Q(amount__gte=0)),
        ]

    def __str__(self):
        return f"pool {self.period} {self.currency}"


class PoolShare(models.Model):
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="shares")
    creator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="pool_shares")
    seconds = models.BigIntegerField()
    amount = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "creator"], name="pool_share_once"),
            models.CheckConstraint(
                name="pool_share_positive", condition=Q(amount__gte=0, seconds__gte=0)
            ),
        ]

    def __str__(self):
        return f"{self.creator_id}: {self.amount}"
