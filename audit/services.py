"""The writing of the audit log, and the hash chain that shows later changes."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection, models, transaction

from audit.actions import AuditAction
from audit.context import origin
from audit.models import AuditEntry

GENESIS = "0" * 64
_SEAL_LOCK = 0x61756469  # the key of pg_advisory_xact_lock: only one process seals at a time
_SEAL_BATCH = 2000


class BrokenEntry(NamedTuple):
    """The first place where the hash chain is broken, and the reason."""

    position: int
    reason: str


def record(
    *,
    actor: AbstractBaseUser | AnonymousUser | None,
    action: AuditAction,
    target: models.Model | None = None,
    **data: object,
) -> AuditEntry:
    """Write an entry about a change, in the transaction of the change.

    Call it inside that transaction: change and entry are then committed together or not at all.
    ``actor`` is None for the service itself, and ``target`` is the changed row. ``data`` must be JSON,
    without secrets and personal data. Address and request id come from the current request, if any.
    """
    source = origin()
    return AuditEntry.objects.create(
        actor_id=actor.pk if actor is not None and actor.is_authenticated else None,
        action=action,
        target_type=(target._meta.model_name or "") if target is not None else "",
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
    """Add up to 2,000 unchained entries to the chain and return their number.

    An entry's hash covers its content, its position and the hash of the entry before it. A change, a
    removal or an insertion before the newest entry therefore contradicts a later hash. Safe to run in
    several processes at once.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEAL_LOCK])
    waiting = list(AuditEntry.objects.filter(position=None).order_by("id")[:_SEAL_BATCH])
    if not waiting:
        return 0
    position, previous = _end_of_chain()
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


def first_broken_entry() -> BrokenEntry | None:
    """Verify the whole chain. Return the first broken entry, or None."""
    previous = GENESIS
    for expected, entry in enumerate(_chain(), start=1):
        if entry.position != expected:
            return BrokenEntry(
                expected, f"entry {expected} is missing; the next one is entry {entry.position}"
            )
        if entry.hash != entry_hash(entry, expected, previous):
            return BrokenEntry(
                expected,
                f"entry {expected} ({entry.pk}) was changed, or an entry was inserted before it",
            )
        previous = entry.hash
    return None


def entry_hash(entry: AuditEntry, position: int, previous: str) -> str:
    """Return the SHA-256 of the entry's content, its position and the hash of the entry before it."""
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


def _end_of_chain() -> tuple[int, str]:
    """Return position and hash of the newest chained entry, or 0 and GENESIS."""
    last = AuditEntry.objects.exclude(position=None).order_by("-position").first()
    return (last.position or 0, last.hash or GENESIS) if last else (0, GENESIS)


def _chain() -> Iterator[AuditEntry]:
    return AuditEntry.objects.exclude(position=None).order_by("position").iterator(chunk_size=2000)


def _stored_id(entry: AuditEntry) -> uuid.UUID | str:
    """Return the entry's id as raw SQL needs it: SQLite stores 32 hexadecimal digits."""
    return entry.pk if connection.features.has_native_uuid_field else entry.pk.hex
