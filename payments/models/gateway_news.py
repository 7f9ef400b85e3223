from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7


class WebhookEvent(models.Model):
    """One signed message of a gateway: the object that it is about, without the message's content.

    ``kind`` is payment, subscription or checkout; empty for a message that is not followed.
    """

    class Status(models.TextChoices):
        RECEIVED = "received", "received"
        PROCESSED = "processed", "processed"
        IGNORED = "ignored", "ignored: not followed"
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
        permissions = [("replay_webhookevent", "Can process webhook events again")]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="webhook_event_once"),
        ]
        indexes = [
            models.Index(fields=["-received_at", "-id"], name="webhook_event_newest"),
            # For the job that processes events again.
            models.Index(
                fields=["received_at"],
                name="webhook_event_waits",
                condition=Q(status__in=["received", "failed"]),
            ),
        ]

    def __str__(self):
        return f"{self.gateway} {self.type}"


class Reconciliation(models.Model):
    """The moment up to which every change at one gateway has been looked at."""

    gateway = models.CharField(max_length=20, primary_key=True)
    complete_until = models.DateTimeField()

    def __str__(self):
        return f"{self.gateway} until {self.complete_until:%Y-%m-%d %H:%M} UTC"
