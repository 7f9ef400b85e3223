"""The format of entries that were sealed before the chain had a key. No new entry is sealed so."""

import hashlib
import json
from collections.abc import Iterator

from audit.models import AuditEntry


def hashes(after: int, last: int, before: str) -> Iterator[tuple[int, str | None, str]]:
    """Yield position, stored hash and right hash of the entries after ``after``, in their order."""
    chained = AuditEntry.objects.filter(position__gt=after, position__lte=last)
    for entry in chained.order_by("position").iterator(chunk_size=2000):
        yield entry.position or 0, entry.hash, entry_hash(entry, before)
        before = entry.hash or ""


def entry_hash(entry: AuditEntry, before: str) -> str:
    """Return the SHA-256 of the entry's content, its position and the hash of the entry before it."""
    content = [
        before,
        entry.position,
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
