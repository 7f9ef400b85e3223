"""The sandbox gateway's own tables. Only `payments/gateways/sandbox/` reads and writes them.

The amounts are in minor units, and the statuses have the values of the service's own models.
"""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class SandboxClock(models.Model):
    """The time by which the sandbox's clock is ahead of the real one. The table has one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    ahead = models.DurationField(default=timedelta)

    class Meta:
        permissions = [
            ("operate_sandbox", "Can move the sandbox's clock and decide for its banks"),
        ]
        constraints = [
            models.CheckConstraint(name="sandbox_one_clock", condition=Q(id=1)),
            models.CheckConstraint(name="sandbox_never_back", condition=Q(ahead__gte=timedelta())),
        ]

    def __str__(self):
        return f"{self.ahead} ahead"


class SandboxSubscription(models.Model):
    """A subscription at the sandbox, with its current period and its card."""

    id = models.CharField(primary_key=True, max_length=60)
    idempotency_key = models.CharField(max_length=120, unique=True)
    reference = models.CharField("the merchant's name for it", max_length=60)
    plan_code = models.CharField(max_length=40)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    interval = models.CharField(max_length=8)
    # {"code", "amount", "currency", "interval"} of the plan from the next period on; null without one.
    next_plan = models.JSONField(null=True)
    payment_method = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=20)
    anchor = models.DateTimeField("the day of the month that it renews on")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    cancel_at_period_end = models.BooleanField(default=False)
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["period_end"], name="sandbox_due", condition=Q(ended_at=None)),
            models.Index(fields=["changed_at"], name="sandbox_subs_changed"),
        ]

    def __str__(self):
        return self.id


class SandboxInvoice(models.Model):
    """One billed period of a subscription, with the attempts to charge it."""

    id = models.CharField(primary_key=True, max_length=60)
    subscription = models.ForeignKey(
        SandboxSubscription, on_delete=models.PROTECT, related_name="invoices"
    )
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=16, default="open")
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "period_start"], name="sandbox_period_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="sandbox_dunning",
                condition=Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self):
        return self.id


class SandboxPayment(models.Model):
    """One charge of a card, for an order or for an invoice."""

    id = models.CharField(primary_key=True, max_length=60)
    idempotency_key = models.CharField(max_length=120, unique=True)
    reference = models.CharField("the merchant's name for it", max_length=60, blank=True)
    invoice = models.ForeignKey(
        SandboxInvoice, on_delete=models.PROTECT, null=True, related_name="payments"
    )
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=60)
    status = models.CharField(max_length=16, default="captured")
    decline_code = models.CharField(max_length=60, blank=True)
    captured = models.BigIntegerField(default=0)
    fee = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="sandbox_amount", condition=Q(amount__gt=0, captured__lte=F("amount"))
            ),
        ]
        indexes = [models.Index(fields=["changed_at"], name="sandbox_payment_changed")]

    def __str__(self):
        return self.id


class SandboxRefund(models.Model):
    """A refund of a payment, in part or in full."""

    id = models.CharField(primary_key=True, max_length=60)
    idempotency_key = models.CharField(max_length=120, unique=True)
    payment = models.ForeignKey(SandboxPayment, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField()
    status = models.CharField(max_length=12, default="succeeded")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(name="sandbox_refund_positive", condition=Q(amount__gt=0)),
        ]

    def __str__(self):
        return self.id


class SandboxDispute(models.Model):
    """A dispute of a payment. An administrator opens and closes it in the place of the buyer's bank."""

    id = models.CharField(primary_key=True, max_length=60)
    payment = models.ForeignKey(SandboxPayment, on_delete=models.PROTECT, related_name="disputes")
    amount = models.BigIntegerField()
    withdrawn = models.BigIntegerField(default=0)
    reinstated = models.BigIntegerField(default=0)
    fee = models.BigIntegerField(default=0)
    status = models.CharField(max_length=16)
    reason = models.CharField(max_length=60, default="fraudulent")
    evidence_due = models.DateTimeField(null=True)
    # The fields of the evidence that was submitted; null before that.
    evidence = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="sandbox_dispute_amounts", condition=Q(reinstated__lte=F("withdrawn"))
            ),
        ]

    def __str__(self):
        return self.id


class SandboxCheckout(models.Model):
    """A checkout: the hosted page on which one order or subscription is paid.

    The id is unguessable. Anyone who knows the page's address may pay there without signing in.
    """

    id = models.CharField(primary_key=True, max_length=60)
    idempotency_key = models.CharField(max_length=120, unique=True)
    reference = models.CharField("the merchant's name for it", max_length=60)
    title = models.CharField(max_length=300)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    # {"code", "name", "interval", "trial_days"} of the plan, if the checkout starts a subscription.
    plan = models.JSONField(null=True)
    return_url = models.CharField(max_length=2000, blank=True)
    status = models.CharField(max_length=10, default="open")
    attempts = models.PositiveIntegerField(default=0)
    payment = models.ForeignKey(SandboxPayment, on_delete=models.PROTECT, null=True)
    subscription = models.ForeignKey(SandboxSubscription, on_delete=models.PROTECT, null=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self):
        return self.id


class SandboxEvent(models.Model):
    """A webhook event, written in the transaction of the change and delivered after its commit.

    ``next_attempt_at`` is null once the event is delivered or its last attempt has failed.
    """

    id = models.CharField(primary_key=True, max_length=60)
    type = models.CharField(max_length=80)
    kind = models.CharField(max_length=20)
    object_id = models.CharField(max_length=60)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="sandbox_event_due",
                condition=Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self):
        return f"{self.type} {self.object_id}"
