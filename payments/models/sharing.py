"""Watch time by day, and the monthly pools that are shared among creators by it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7
from videos.models import Video

USER = settings.AUTH_USER_MODEL


class WatchDaily(models.Model):
    """The verified watch time of one user, video and day (UTC), in whole seconds.

    ``plan_seconds`` is the part of ``seconds`` that was watched under a subscription: each moment of the
    user's clock once, and at most three times the video's length a day. Pools are shared in proportion
    to it.
    """

    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    video = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="+")
    creator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    seconds = models.PositiveIntegerField(default=0)
    plan_seconds = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "watch time of a day"
        verbose_name_plural = "watch time by day"
        constraints = [
            models.UniqueConstraint(fields=["user", "video", "day"], name="watched_once_a_day"),
            models.CheckConstraint(
                name="watched_a_day_at_most",
                condition=Q(seconds__lte=86_400, plan_seconds__lte=86_400),
            ),
        ]
        indexes = [
            # Serves the sharing of a month: its rows with weight.
            models.Index(
                fields=["day"], name="watched_under_plan", condition=Q(plan_seconds__gt=0)
            ),
        ]

    def __str__(self):
        return f"{self.user_id} watched {self.video_id} on {self.day}: {self.seconds} s"


class Pool(models.Model):
    """The creators' part of a month's subscriptions in one currency, written when the month is closed.

    ``balance`` was in the pool, ``amount`` of it was shared (all of it, or 0 without
    watch time). ``input_sha256`` is the fingerprint of all that the shares follow from; it is empty
    until the figures are known.
    """

    class Status(models.TextChoices):
        # Nothing more counts in the month. Its shares and statements are written in batches.
        CLOSING = "closing", "being closed"
        CLOSED = "closed", "closed"

    class Algorithm(models.TextChoices):
        PRORATA = "prorata-v1", "in proportion to all watch time"
        USER_CENTRIC = "user-centric-v1", "each subscriber's money by their own watch time"

    class Payers(models.TextChoices):
        INVOICED = "invoiced", "subscribers with a paid invoice, also after its refund"
        KEPT = "kept", "subscribers whose money has stayed, in full"
        STAYED = "stayed", "subscribers, in proportion to the money that has stayed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    period = models.CharField(max_length=7, help_text="YYYY-MM")
    currency = models.CharField(max_length=3)
    balance = models.BigIntegerField("balance at closing, in minor units")
    amount = models.BigIntegerField("amount shared, in minor units")
    total_seconds = models.BigIntegerField()
    algorithm = models.CharField(max_length=20, choices=Algorithm)
    payers = models.CharField(
        "whose watch time counts",
        max_length=10,
        choices=Payers,
        default=Payers.STAYED,
        help_text="Months that were closed by an older version keep the rule of that version.",
    )
    input_sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=7, choices=Status, default=Status.CLOSED)
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
    """One creator's share of a pool: the watch time of their videos and the amount in minor units."""

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
