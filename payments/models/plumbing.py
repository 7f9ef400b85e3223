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


class WebhookEvent(models.Model):
    """News of a gateway, as far as it is kept: which object, never its content."""

    class Status(models.TextChoices):
        RECEIVED = "received", "received"
        PROCESSED = "processed", "processed"
        IGNORED = "ignored", "nothing we follow"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    gateway = models.CharField(max_length=20)
    external_id = models.CharField(max_length=120)
    type = models.CharField(max_length=80)
    kind = models.CharField("what it is about", max_length=20, blank=True)
    object_id = models.CharField(max_length=120, blank=True)
    api_version = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.RECEIVED)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    processed_at = models.DateTimeField(null=True)

    class Meta:
        permissions = [("replay_webhookevent", "Can take in a gateway's news again")]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="webhook_event_once"),
        ]
        indexes = [models.Index(fields=["-received_at", "-id"], name="webhook_event_newest")]

    def __str__(self):
        return f"{self.gateway} {self.type}"


class Notice(models.Model):
    """A mail to be sent, written in the transaction of what it tells (the outbox)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    subject = models.CharField(max_length=200)
    body = models.TextField()
    dedupe_key = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="notice_unsent", condition=Q(sent_at=None)),
        ]

    def __str__(self):
        return self.dedupe_key


class LedgerCheck(models.Model):
    """What ``verify_ledger`` found."""

    started_at = models.DateTimeField(default=timezone.now)
    seconds = models.FloatField(default=0)
    payments = models.PositiveBigIntegerField("payments checked", default=0)
    discrepancies = models.PositiveBigIntegerField(default=0)
    first = models.CharField("the first discrepancy", max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="ledger_check_newest")]

    def __str__(self):
        return "the books are right" if not self.discrepancies else self.first
