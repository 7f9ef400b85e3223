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


class Statement(models.Model):
    """What a creator earned and was paid in one month and currency. Never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="statements")
    period = models.CharField(max_length=7, help_text="YYYY-MM")
    currency = models.CharField(max_length=3)
    body = models.TextField("canonical JSON")
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["creator", "period", "currency"], name="statement_once"
            ),
        ]

    def __str__(self):
        return f"statement {self.period} {self.currency} of {self.creator_id}"


class Payout(models.Model):
    """A creator's balance on its way to their bank. Its money is set aside from the first moment."""

    class Status(models.TextChoices):
        DRAFT = "draft", "waits for approval"
        APPROVED = "approved", "approved"
        PROCESSING = "processing", "on its way"
        PAID = "paid", "paid"
        FAILED = "failed", "failed: the money is back in the balance"
        CANCELED = "canceled", "canceled: the money is back in the balance"

    IN_FLIGHT = (Status.DRAFT, Status.APPROVED, Status.PROCESSING)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="payouts")
    currency = models.CharField(max_length=3)
    amount = models.BigIntegerField("amount in minor units")
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    cutoff = models.DateTimeField("earnings available by then")
    # Null: the payout run of the command line.
    requested_by = models.ForeignKey(USER, on_delete=models.PROTECT, null=True, related_name="+")
    approved_by = models.ForeignKey(USER, on_delete=models.PROTECT, null=True, related_name="+")
    external_ref = models.CharField("the bank's reference", max_length=120, blank=True)
    failure = models.CharField("why it failed", max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    approved_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField("paid, failed or canceled", null=True)

    class Meta:
        permissions = [("manage_payouts", "Can run, approve and settle payouts")]
        constraints = [
            models.UniqueConstraint(
                fields=["creator", "currency"],
                name="payout_in_flight",
                condition=Q(status__in=["draft", "approved", "processing"]),
            ),
            models.CheckConstraint(name="payout_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="payout_two_people",
                condition=Q(approved_by__isnull=True)
                | Q(requested_by__isnull=True)
                | ~Q(approved_by=models.F("requested_by")),
            ),
        ]
        indexes = [models.Index(fields=["creator", "-created_at"], name="payout_of_creator")]

    def __str__(self):
        return f"payout {self.pk} ({self.status})"
