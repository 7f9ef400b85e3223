"""The figures of the audit log: what waits for its place, and whether the chain is whole."""

from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import Metric

from audit import chain, checkpoints, protection
from audit.models import AuditCheck, AuditEntry
from config.metrics import figures, gauge


@figures("audit")
def log() -> Iterator[Metric]:
    """Five statements, each over an index: what is unsealed, the end, the checkpoints, the check."""
    waiting = AuditEntry.objects.filter(position=None).aggregate(
        number=Count("pk"), oldest=Min("at")
    )
    lag = (timezone.now() - waiting["oldest"]).total_seconds() if waiting["oldest"] else 0.0
    yield gauge("audit_unsealed_entries", "Entries that wait for their place.", waiting["number"])
    text = "Age of the oldest entry that waits for its place in the chain; 0 without one."
    yield gauge("audit_lag_seconds", text, max(0.0, lag))
    end, newest = chain.end().position, checkpoints.stored().last()
    yield gauge("audit_chain_entries", "The position of the newest entry of the chain.", end)
    text = "When the newest checkpoint was signed (Unix time)."
    yield gauge("audit_checkpoint_time_seconds", text, newest.at.timestamp() if newest else None)
    check = AuditCheck.objects.order_by("-pk").first()
    cut = newest is None or (end < newest.position and newest.begins_at <= newest.position)
    broken = cut or (check is not None and check.is_broken)
    text = (
        "1 if entries are missing at the end, or the worker's latest check found the chain broken."
    )
    yield gauge("audit_chain_broken", text, float(broken))
    text = "When the worker last verified the newest part of the chain (Unix time)."
    yield gauge("audit_checked_time_seconds", text, check.at.timestamp() if check else None)


@figures("audit_triggers", every=60.0)
def triggers() -> Iterator[Metric]:
    missing = len(protection.missing(DEFAULT_DB_ALIAS))
    yield gauge("audit_triggers_missing", "Triggers of the audit log that are gone.", missing)
