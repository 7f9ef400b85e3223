"""Heartbeats: what a session reports as watched, and how much of it can be true."""

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.errors import NotVisible
from streaming.errors import SessionEnded
from streaming.models import PlaybackSession
from streaming.signals import playback_progressed

SPEED_MAX = 2.0
INTERVALS_MAX = 500

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Beat:
    """One report of a player. ``watched`` are seconds of the video, from and to."""

    position_seconds: float
    state: str
    watched: list[Interval] | None = None
    rebuffer_ms: int = 0
    startup_ms: int | None = None


@transaction.atomic
def take_in(*, sessions, session_id: uuid.UUID, beat: Beat) -> None:
    """Fold a heartbeat into its session: one row read, one row written.

    ``sessions`` are those the caller may speak for. Raises NotVisible, SessionEnded. Reports beyond
    what the clock allows are dropped and counted as ``rejected_seconds``.
    """
    session = (
        sessions.select_for_update(of=("self",))
        .select_related("video")
        .filter(pk=session_id)
        .first()
    )
    if session is None:
        raise NotVisible()
    now = timezone.now()
    if session.ended_at is not None or session.expires_at <= now:
        raise SessionEnded()
    before = session.watched_seconds
    _fold(session, beat, now)
    session.save(
        update_fields=[
            "state", "position_seconds", "watched", "watched_seconds", "rejected_seconds",
            "clocked_seconds", "last_heartbeat_at", "last_seen_at", "rebuffer_ms", "startup_ms",
        ]
    )  # fmt: skip
    if session.counts and session.watched_seconds > before:
        playback_progressed.send(sender=PlaybackSession, session=session, before=before)


def _fold(session: PlaybackSession, beat: Beat, now) -> None:
    duration = session.video.duration_seconds or 0.0
    reported = beat.watched if beat.watched is not None else _implied(session, beat)
    inside = [(max(0.0, a), min(duration, b)) for a, b in reported]
    inside = [(a, b) for a, b in inside if b > a]
    accepted = _within(inside, _allowance(session, now))
    known = [(a, b) for a, b in session.watched]
    merged = merge([*known, *accepted])
    if len(merged) > INTERVALS_MAX:  # nobody watches like this; what is known stays
        merged, accepted = known, []
    claimed = sum(b - a for a, b in reported)
    session.rejected_seconds += max(0.0, claimed - sum(b - a for a, b in accepted))
    session.watched = [[round(a, 3), round(b, 3)] for a, b in merged]
    session.watched_seconds = round(sum(b - a for a, b in merged), 3)
    life = (now - session.created_at).total_seconds()
    clocked = int(min(session.watched_seconds, life))
    session.clocked_seconds = max(session.clocked_seconds, clocked)
    session.position_seconds = min(max(0.0, beat.position_seconds), duration)
    session.state = beat.state
    session.rebuffer_ms += beat.rebuffer_ms
    if session.startup_ms is None:
        session.startup_ms = beat.startup_ms
    session.last_heartbeat_at = session.last_seen_at = now


def _implied(session: PlaybackSession, beat: Beat) -> list[Interval]:
    """Without ``watched``: what lies between the last position and this one, if it was played."""
    step = beat.position_seconds - session.position_seconds
    since = session.last_heartbeat_at or session.created_at
    elapsed = (timezone.now() - since).total_seconds()
    jumped = step > elapsed * SPEED_MAX + settings.HEARTBEAT_SECONDS
    if step <= 0 or jumped:
        return []
    return [(session.position_seconds, beat.position_seconds)]


def _allowance(session: PlaybackSession, now) -> float:
    """Video seconds that can have been played since the last heartbeat, at SPEED_MAX at most.

    One interval is given in advance, once: a flood of heartbeats earns nothing.
    """
    since = session.last_heartbeat_at or session.created_at
    beat = (now - since).total_seconds() * SPEED_MAX + settings.HEARTBEAT_SECONDS
    life = (now - session.created_at).total_seconds() * SPEED_MAX + settings.HEARTBEAT_SECONDS
    return max(0.0, min(beat, life - session.watched_seconds))


def _within(intervals: list[Interval], allowance: float) -> list[Interval]:
    accepted = []
    for start, end in merge(intervals):
        length = min(end - start, allowance)
        if length <= 0:
            break
        accepted.append((start, start + length))
        allowance -= length
    return accepted


def merge(intervals: list[Interval]) -> list[Interval]:
    """The same seconds as the fewest intervals, in order.

    >>> merge([(5, 7), (0, 3), (2, 5)])
    [(0, 7)]
    """
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
