from django.conf import settings
from django.db import models
from django.utils import timezone

from config.ids import uuid7


class IdempotencyRecord(models.Model):
    """One ``Idempotency-Key`` of one user, with the answer to its request.

    ``fingerprint`` tells the key's request from others; ``claim`` names the call that carries it out.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    claim = models.UUIDField(default=uuid7)
    response_status = models.PositiveSmallIntegerField(null=True)  # NULL while the request runs
    response_body = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["started_at"], name="idempotency_old")]

    def __str__(self):
        return self.key
