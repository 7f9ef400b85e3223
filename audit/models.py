from django.conf import settings
from django.db import models
from django.utils import timezone

from audit.actions import AuditAction
from audit.requests import ApiRequest, Caller
from config.ids import uuid7

__all__ = ["ApiRequest", "AuditCheck", "AuditEntry", "Caller"]


class AuditEntry(models.Model):
    """One action of a user or of the service. The database refuses to change or delete an entry.

    Only entries that a signed checkpoint of `audit.pruning.prune` covers can be deleted. On PostgreSQL
    the table is partitioned by month (`audit/partitions.py`).

    Entries are chained shortly after they are written (`audit.sealing.seal`): ``position`` and ``hash``
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
        db_index=False,  # audit_by_actor is one
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
        indexes = [
            # GET /audit/, newest first, and its filters. The columns after the time are for a second
            # filter: the index alone shows that a row does not match it.
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(
                fields=["actor", "-at", "ip", "action", "method", "status", "target_type"],
                name="audit_by_actor",
            ),
            models.Index(
                fields=["ip", "-at", "action", "method", "status", "target_type"],
                name="audit_by_ip",
            ),
            models.Index(
                fields=["target_type", "-at", "action", "method", "status"], name="audit_by_type"
            ),
            models.Index(fields=["target_id", "-at"], name="audit_by_target"),
            models.Index(fields=["action", "-at", "method", "status"], name="audit_by_action"),
            models.Index(fields=["method", "-at"], name="audit_by_method"),
            # The admin site's search by the id of a request.
            models.Index(fields=["request_id", "-at"], name="audit_by_request"),
            # Only entries of the time when requests were entries have a status.
            models.Index(
                fields=["status", "-at", "method"],
                name="audit_by_status",
                condition=models.Q(status__isnull=False),
            ),
            # The chain in its order. Not unique, because PostgreSQL could hold that only within one
            # partition. One process seals at a time, and `verify_audit` finds a position that is there
            # twice.
            models.Index(fields=["position"], name="audit_position"),
            # audit.sealing.seal: the entries that are not in the chain yet.
            models.Index(
                fields=["id"], name="audit_unsealed", condition=models.Q(position__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.action} {self.target_type} {self.target_id}"


class AuditCheckpoint(models.Model):
    """What the chain was at one moment, signed. The database refuses to change or delete a checkpoint.

    Entries after ``position`` are sealed with the key ``key_id``, until a later checkpoint names another
    one. Entries before the first checkpoint are in the unkeyed format. The entries before ``begins_at``
    are no longer verified, and ``base`` is the hash of the last one of them.
    """

    class Reason(models.TextChoices):
        BEGIN = "begin", "First entry, or first keyed one"
        PERIODIC = "periodic", "Made every hour or by command"
        KEY = "key", "New key"
        PRUNE = "prune", "Old entries deleted"
        RESTART = "restart", "New proof begun by an operator"

    at = models.DateTimeField(editable=False)
    reason = models.CharField(max_length=10, choices=Reason)
    position = models.PositiveBigIntegerField()
    hash = models.CharField(max_length=64)
    begins_at = models.PositiveBigIntegerField()
    base = models.CharField(max_length=64)
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=64)

    class Meta:
        indexes = [
            # audit.checkpoints.newest
            models.Index(fields=["position", "at"], name="audit_checkpoint_order"),
            # The trigger of audit.protection: up to which position entries may be deleted.
            models.Index(
                fields=["begins_at"],
                name="audit_checkpoint_pruned",
                condition=models.Q(reason="prune"),
            ),
            # audit.checkpoints.stored
            models.Index(
                fields=["id"],
                name="audit_checkpoint_restarts",
                condition=models.Q(reason="restart"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.reason} {self.position}"


class AuditCheck(models.Model):
    """What the worker's latest check of the chain's newest part found, for `GET /metrics`. One row.

    It is no proof: who can write to the database can write here, too. `verify_audit` proves.
    """

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    at = models.DateTimeField()
    reason = models.CharField("why the chain cannot be proved", max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.reason or 'proved'}"

    @property
    def is_broken(self) -> bool:
        return bool(self.reason)
