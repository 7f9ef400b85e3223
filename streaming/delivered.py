"""What the delivery has sent to a session: which parts of the video, and how many seconds they are.

Views and watch time count no second that was not delivered. A buyer's refund counts every part of which
any byte was sent, once for all sessions. A part is a numbered segment; the same number in another
rendition is the same part. All parts of a version count as equally long. Sent means handed to the
kernel: a client that ends its connection may not have read all of it.
"""

import math
import uuid
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from streaming import heartbeats, intervals
from streaming.models import PlaybackSession, PlaybackSessionQuerySet
from videos.processing.packager import SEGMENT_SECONDS

BATCH = 200  # sessions of one transaction


def record(parts: Mapping[uuid.UUID, int]) -> dict[uuid.UUID, int]:
    """Add delivered parts to their sessions; bit n of a number stands for segment n.

    Safe to repeat, and for any number of processes: each part of a session counts once. Returns the
    sessions that another transaction has locked, for the next call: to wait for them, with other rows
    locked, could end in a deadlock. Unknown sessions are skipped.
    """
    return _in_batches(parts, "delivered")


def record_begun(parts: Mapping[uuid.UUID, int]) -> dict[uuid.UUID, int]:
    """Add parts that were sent in part to their sessions, as `record` adds the delivered ones."""
    return _in_batches(parts, "begun")


def share(sessions: PlaybackSessionQuerySet, duration_seconds: float | None) -> float:
    """Return the share of a video of which bytes were sent to any of these sessions, from 0 to 1.

    A single part counts nothing, unless it is more than half of the video: a player loads it before its
    viewer has decided anything.
    """
    sent: dict[float, int] = {}  # by the length of their segments: versions differ in it
    for length, *parts in sessions.values_list("segment_seconds", "delivered", "begun"):
        for bits in parts:
            sent[length] = sent.get(length, 0) | int.from_bytes(bits, "little")
    # A key of the last segments (CDN_URL) stands for as many as any other key, also after the end.
    end = duration_seconds or math.inf
    merged = intervals.merge(
        ((number - 1) * length, number * length)
        for length, bits in sent.items()
        for number in range(bits.bit_length())
        if bits >> number & 1 and (number - 1) * length < end
    )
    seconds, longest = intervals.total(merged), max(sent, default=SEGMENT_SECONDS)
    duration = duration_seconds or longest
    if seconds <= longest <= duration / 2:
        return 0.0
    return min(1.0, seconds / duration)


def _in_batches(parts: Mapping[uuid.UUID, int], field: str) -> dict[uuid.UUID, int]:
    left: dict[uuid.UUID, int] = {}
    ids = sorted(parts)
    for start in range(0, len(ids), BATCH):
        batch = {pk: parts[pk] for pk in ids[start : start + BATCH]}
        left |= _record(batch, field)
    return left


def _record(batch: dict[uuid.UUID, int], field: str) -> dict[uuid.UUID, int]:
    late: list[uuid.UUID] = []
    begun: list[datetime] = []
    with transaction.atomic():
        sessions = PlaybackSession.objects.filter(pk__in=batch)
        found = sessions.select_for_update(of=("self",), skip_locked=True).only(
            *(field, "segment_seconds", "counted_seconds", "watched_seconds"),
            *("created_at", "last_heartbeat_at"),
        )
        left = set(batch)
        for session in found:
            left.discard(session.pk)
            known = int.from_bytes(getattr(session, field), "little")
            merged = known | batch[session.pk]
            if merged == known:
                continue
            setattr(session, field, merged.to_bytes((merged.bit_length() + 7) // 8, "little"))
            if field == "begun":
                session.save(update_fields=["begun"])
                continue
            session.delivered_seconds = round(merged.bit_count() * session.segment_seconds)
            session.save(update_fields=["delivered", "delivered_seconds"])
            begun.append(session.created_at)
            if heartbeats.countable(session) > session.counted_seconds:
                late.append(session.pk)
        heartbeats.tell_of_late(begun)
        unknown = left - set(sessions.values_list("pk", flat=True)) if left else set()
    for pk in late:  # Here, with one row locked at a time: counting a view locks the video's row.
        heartbeats.recount(pk)
    return {pk: batch[pk] for pk in left - unknown}
