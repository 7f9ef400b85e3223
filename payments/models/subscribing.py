from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from config import money
from config.ids import uuid7


class Plan(models.Model):
    """What a subscription costs. Never changed: a new price is a new plan."""

    class Interval(models.TextChoices):
        MONTH = "month", "a month"
        YEAR = "year", "a year"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    amount = models.BigIntegerField("price in minor units")
    currency = models.CharField(max_length=3)
    interval = models.CharField(max_length=8, choices=Interval, default=Interval.MONTH)
    is_active = models.BooleanField("can be subscribed to", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(name="plan_positive", condition=Q(amount__gt=0))]

    def __str__(self):
        return self.name

    def clean(self):
        if self.currency not in money.EXPONENTS:
            raise ValidationError({"currency": "This currency is not one that we know."})


class Subscription(models.Model):
    """A right to watch every film, for as long as it is paid."""

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete", "waiting for the first payment"
        ACTIVE = "active", "active"
        CANCELED = "canceled", "canceled"
        EXPIRED = "expired", "expired"

    LIVE = (Status.INCOMPLETE, Status.ACTIVE)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="subscriptions"
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    gateway = models.CharField(max_length=20)
    status = models.CharField(max_length=12, choices=Status, default=Status.INCOMPLETE)
    attempt = models.PositiveIntegerField("declined attempts", default=0)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    cancel_at_period_end = models.BooleanField(default=False)
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                name="subscription_live",
                condition=Q(status__in=["incomplete", "active"]),
            ),
            models.CheckConstraint(
                name="subscription_period",
                condition=Q(period_end__isnull=True) | Q(period_end__gt=F("period_start")),
            ),
            models.CheckConstraint(
                name="subscription_active_has_period",
                condition=~Q(status="active") | Q(period_end__isnull=False),
            ),
        ]
        indexes = [
            # Subscriptions whose period is over.
            models.Index(
                fields=["period_end"], name="subscription_running", condition=Q(status="active")
            ),
        ]

    def __str__(self):
        return f"subscription of {self.user_id} ({self.status})"


class Invoice(models.Model):
    """One period of a subscription, and what it costs."""

    class Status(models.TextChoices):
        OPEN = "open", "to be paid"
        PAID = "paid", "paid"
        VOID = "void", "void"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="invoices"
    )
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    fee_bps = models.PositiveIntegerField()
    status = models.CharField(max_length=8, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "period_start"], name="invoice_period_once"
            ),
            models.CheckConstraint(name="invoice_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="invoice_period", condition=Q(period_end__gt=F("period_start"))
            ),
        ]

    def __str__(self):
        return f"invoice {self.pk} ({self.status})"
