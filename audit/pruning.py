"""The deletion of old audit entries, such that the proof of the other entries stays."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min
from django.utils import timezone

from audit import chain, checkpoints, partitions, verification
from audit.models import AuditCheckpoint, AuditEntry

_BATCH = 10_000


def prune(before: datetime, on_progress: chain.Progress = lambda count: None) -> int:
    """Delete the sealed entries that are older than ``before``. Return their number.

    Verifies them first, and signs a checkpoint that says where the proof now begins: without it the
    database refuses to delete them. Safe to repeat, also after it was interrupted. Raises BrokenEntry,
    UnknownKey or NoCheckpoint and deletes nothing.
    """
    newest = checkpoints.make(on_progress)
    last = _last_before(before)
    if last >= newest.begins_at:
        place = verification.part(newest, last, on_progress)
        with transaction.atomic():
            chain.lock()
            newest = checkpoints.newest()
            newest = checkpoints.sign(
                AuditCheckpoint.Reason.PRUNE,
                after=newest,
                place=chain.Place(newest.position, newest.hash),
                base=place,
            )
    return _delete_pruned()


def prune_by_setting() -> None:
    """Delete the entries that are older than AUDIT_KEEP_DAYS. For the worker, every hour."""
    if not settings.AUDIT_KEEP_DAYS:
        return
    before = timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)
    oldest = AuditEntry.objects.exclude(position=None).order_by("position").first()
    # A day at a time, so that there is not a checkpoint more for each hour.
    if oldest is not None and oldest.at < before - timedelta(days=1):
        prune(before)


def _last_before(before: datetime) -> int:
    """Return the position up to which every entry is older than ``before``."""
    sealed = AuditEntry.objects.exclude(position=None)
    kept: int | None = sealed.filter(at__gte=before).aggregate(first=Min("position"))["first"]
    return chain.end().position if kept is None else kept - 1


def _delete_pruned() -> int:
    """Delete the entries that a checkpoint of pruning covers: whole partitions first, then rows."""
    pruned = checkpoints.stored().filter(reason=AuditCheckpoint.Reason.PRUNE).last()
    if pruned is None:
        return 0
    checkpoints.check_signature(pruned)
    deleted = partitions.drop_before(pruned.begins_at)
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM audit_auditentry WHERE id IN (SELECT id FROM audit_auditentry"
                " WHERE position < %s ORDER BY position LIMIT %s)",
                [pruned.begins_at, _BATCH],
            )
            deleted += cursor.rowcount
            if cursor.rowcount < _BATCH:
                return deleted
