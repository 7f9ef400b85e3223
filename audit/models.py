from django.conf import settings
from django.db import models
from django.utils import timezone

from audit.actions import AuditAction
from audit.requests import ApiRequest, Caller
from config.ids import uuid7

__all__ = ["ApiRequest", "AuditEntry", "Caller"]


class AuditEntry(models.Model):
    """One action of a user or of the service. The database refuses to change or delete an entry.

    Entries are chained shortly after they are written (`audit.services.seal`): ``position`` and ``hash``
    change from NULL to their value, once. To chain an entry when it is written would make all writers
    of the service wait for each other.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=timezone.now, editable=False)
    # No constraint and no cascade: the entry stays when the user is deleted.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
    )
    action = models.CharField(max_length=40, choices=AuditAction)
    method = models.CharField(max_length=10, blank=True)
    path = models.CharField(max_length=500, blank=True)
    status = models.PositiveSmallIntegerField(null=True)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    duration_ms = models.PositiveIntegerField(null=True)
    data = models.JSONField(default=dict)
    position = models.PositiveBigIntegerField(null=True, editable=False)
    hash = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - NULL until sealed

    class Meta:
        verbose_name_plural = "audit entries"
        constraints = [
            models.UniqueConstraint(fields=["position"], name="audit_position_unique"),
        ]
        indexes = [
            # GET /audit/, newest first, and its filters.
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["actor", "-at"], name="audit_by_actor"),
            models.Index(fields=["action", "-at"], name="audit_by_action"),
            models.Index(fields=["target_type", "target_id", "-at"], name="audit_by_target"),
            # audit.services.seal: the entries that are not in the chain yet.
            models.Index(
                fields=["id"], name="audit_unsealed", condition=models.Q(position__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.action} {self.target_type} {self.target_id}"
