from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7


class IdempotencyRecord(models.Model):
    """One ``Idempotency-Key`` of one user, and what was answered to it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    claim = models.UUIDField(default=uuid7)
    response_status = models.PositiveSmallIntegerField(null=True)  # null while it runs
    response_body = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["started_at"], name="idempotency_old")]

    def __str__(self):
        return self.key


class SandboxPayment(models.Model):
    """The sandbox gateway's own record. Nothing but the sandbox reads or writes it."""

    id = models.CharField(primary_key=True, max_length=60)
    idempotency_key = models.CharField(max_length=120, unique=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=60)
    decline_code = models.CharField(max_length=60, blank=True)
    captured = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(name="sandbox_amount", condition=Q(amount__gt=0)),
        ]

    def __str__(self):
        return self.id


class SandboxRefund(models.Model):
    id = models.CharField(primary_key=True, max_length=60)
    idempotency_key = models.CharField(max_length=120, unique=True)
    payment = models.ForeignKey(SandboxPayment, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(name="sandbox_refund_positive", condition=Q(amount__gt=0)),
        ]

    def __str__(self):
        return self.id
