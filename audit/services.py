"""Writing the audit log, and proving it."""

import hashlib
import json
from collections.abc import Iterator

from django.db import connection, models, transaction

from audit.actions import AuditAction
from audit.context import origin
from audit.models import AuditEntry

GENESIS = "0" * 64
_SEAL_LOCK = 0x61756469  # pg_advisory_xact_lock
_SEAL_BATCH = 2000


def record(*, actor, action: AuditAction, target: models.Model | None = None, **data) -> AuditEntry:
    """Write an entry in the caller's transaction: no change without its trace, no trace without it.

    ``data`` must be JSON and hold no secret and no personal data. Origin (address, request id) comes
    from the request that is being answered, if any.
    """
    source = origin()
    return AuditEntry.objects.create(
        actor_id=actor.pk if actor is not None and actor.is_authenticated else None,
        action=action,
        target_type=target._meta.model_name if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        method=source.method,
        path=source.path,
        ip=source.ip,
        user_agent=source.user_agent,
        request_id=source.request_id,
        data=data,
    )


@transaction.atomic
def seal() -> int:
    """Chain the entries that are not chained yet; returns how many. Any number may run at once.

    An entry's hash covers its content, its position and the hash before it (as in a Merkle chain):
    a change, removal or insertion anywhere before the newest entry breaks every hash after it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEAL_LOCK])
    waiting = list(AuditEntry.objects.filter(position=None).order_by("id")[:_SEAL_BATCH])
    if not waiting:
        return 0
    last = AuditEntry.objects.exclude(position=None).order_by("-position").first()
    position, previous = (last.position, last.hash) if last else (0, GENESIS)
    sealed = []
    for entry in waiting:
        position += 1
        previous = entry_hash(entry, position, previous)
        sealed.append((position, previous, _stored_id(entry)))
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE audit_auditentry SET position = %s, hash = %s WHERE id = %s", sealed
        )
    return len(sealed)


def first_broken_entry() -> tuple[int, str] | None:
    """Walk the chain. None when it is whole, else the first bad position and what is wrong there."""
    previous = GENESIS
    for expected, entry in enumerate(_chain(), start=1):
        if entry.position != expected:
            return expected, f"entry {expected} is missing; the next is {entry.position}"
        if entry.hash != entry_hash(entry, expected, previous):
            return expected, f"entry {expected} ({entry.pk}) was changed, or one before it inserted"
        previous = entry.hash
    return None


def entry_hash(entry: AuditEntry, position: int, previous: str) -> str:
    """SHA-256 over the entry's canonical JSON."""
    content = [
        previous,
        position,
        str(entry.pk),
        entry.at.isoformat(timespec="microseconds"),
        str(entry.actor_id) if entry.actor_id else None,
        entry.action,
        entry.method,
        entry.path,
        entry.status,
        entry.target_type,
        entry.target_id,
        entry.ip,
        entry.user_agent,
        entry.request_id,
        entry.duration_ms,
        entry.data,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _chain() -> Iterator[AuditEntry]:
    return AuditEntry.objects.exclude(position=None).order_by("position").iterator(chunk_size=2000)


def _stored_id(entry: AuditEntry):
    return entry.pk if connection.features.has_native_uuid_field else entry.pk.hex
