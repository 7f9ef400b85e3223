"""Heartbeats: the seconds that a player reports, and how many of them the clock allows."""

import contextlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.durability import asynchronous_commit
from config.errors import NotVisible
from config.prepared import Update
from streaming import earning
from streaming.errors import SessionEnded
from streaming.intervals import Interval, merge, total, within
from streaming.models import PlaybackSession
from streaming.reporting import Find
from streaming.signals import late_playback_recorded, playback_progressed

SPEED_MAX = 2.0  # seconds of video in one second of the clock
INTERVALS_MAX = 500  # intervals of one session: bounds the size of its row


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One report of a player.

    ``watched`` holds pairs (from, to) in seconds of the video; None means that the player does not
    report them.
    """

    position_seconds: float
    state: str
    watched: list[Interval] | None = None
    rebuffer_ms: int = 0
    startup_ms: int | None = None


# What a heartbeat is computed from and others change meanwhile. Each of them changes one of these: a
# heartbeat the time of the latest one, the daily watch time the folded seconds with the moments.
_write = Update(
    PlaybackSession,
    unchanged=[
        *("ended_at", "last_heartbeat_at"),
        *("delivered_seconds", "counted_seconds", "folded_seconds"),
    ],
)


def take_in(find: Find, heartbeat: Heartbeat) -> None:
    """Record a heartbeat in its session's row: one read, one write.

    ``find`` finds the session if the caller may report for it (`streaming.reporting`). Seconds
    that the clock does not allow are dropped and added to ``rejected_seconds``. Sends
    ``playback_progressed`` when the counted seconds grow. Raises NotVisible
    when ``find`` finds none, SessionEnded when the session has ended or expired.

    The row is read without a lock, and written if it is still the same; otherwise read again, with one.
    A heartbeat that a power cut undoes is like one that never arrived: so are its seconds and its view.
    """
    with asynchronous_commit():
        if not _take_in(find, heartbeat, lock=False):
            with transaction.atomic():
                _take_in(find, heartbeat, lock=True)


def _take_in(find: Find, heartbeat: Heartbeat, *, lock: bool) -> bool:
    """Record a heartbeat; return False if the row was changed since it was read."""
    session = find.session(lock=lock)
    if session is None:
        raise NotVisible()
    now, latest = timezone.now(), session.last_heartbeat_at
    if session.ended_at is not None or session.expires_at <= now:
        raise SessionEnded()
    if not lock and latest is not None and now <= latest:
        return False  # the time would not tell this heartbeat from the one before
    before, seen = session.counted_seconds, _write.seen(session)
    changes = _changes(session, heartbeat, now)
    for name, value in changes.items():
        setattr(session, name, value)
    session.counted_seconds = changes["counted_seconds"] = max(before, countable(session))
    late = _late([session.created_at])
    tells = late or session.counted_seconds > before
    with transaction.atomic() if tells else contextlib.nullcontext():
        if not _write.write(seen, changes):
            return False
        _tell_of_late(late)
        _announce(session, before)
    return True


@transaction.atomic
def recount(session_id: uuid.UUID) -> None:
    """Count the watched seconds of a session that were delivered after its latest heartbeat.

    Sends ``playback_progressed`` when there are any. Safe to repeat.
    """
    sessions = PlaybackSession.objects.select_for_update(of=("self",)).select_related("video")
    session = sessions.get(pk=session_id)
    before = session.counted_seconds
    session.counted_seconds = max(before, countable(session))
    session.save(update_fields=["counted_seconds"])
    _announce(session, before)


def _announce(session: PlaybackSession, before: float) -> None:
    if session.counts and session.counted_seconds > before:
        playback_progressed.send(sender=PlaybackSession, session=session, before=before)


def tell_of_late(begun: list[datetime]) -> None:
    """Send ``late_playback_recorded`` for the sessions that are older than a session lives, if any."""
    _tell_of_late(_late(begun))


def _tell_of_late(late: list[datetime]) -> None:
    if late:
        late_playback_recorded.send(sender=PlaybackSession, begun=late)


def _late(begun: list[datetime]) -> list[datetime]:
    lives = timedelta(hours=settings.PLAYBACK_GRANT_HOURS)
    return [each for each in begun if each < timezone.now() - lives]


def countable(session: PlaybackSession) -> float:
    """Return the watched seconds that count for views and for money.

    They are at most the seconds of the clock between the session's start and its latest heartbeat, and
    the seconds of the video that were delivered.
    """
    if session.last_heartbeat_at is None:
        return 0.0
    age = (session.last_heartbeat_at - session.created_at).total_seconds()
    return max(0.0, min(session.watched_seconds, age, session.delivered_seconds))


def _changes(session: PlaybackSession, heartbeat: Heartbeat, now: datetime) -> dict[str, Any]:
    """Return the new values of the session's fields by name. Each of them is saved."""
    duration = session.video.duration_seconds or 0.0
    reported = heartbeat.watched if heartbeat.watched is not None else _implied(session, heartbeat)
    inside = [(max(0.0, a), min(duration, b)) for a, b in reported]
    inside = [(a, b) for a, b in inside if b > a]
    accepted = within(inside, _allowance(session, now))
    known = [(a, b) for a, b in session.watched]
    merged = merge([*known, *accepted])
    if len(merged) > INTERVALS_MAX:  # No person seeks that often: reject the report.
        merged, accepted = known, []
    rejected = max(0.0, total(reported) - total(accepted))
    watched_seconds = round(total(merged), 3)
    known_startup = session.startup_ms
    return {
        "state": heartbeat.state,
        "position_seconds": min(max(0.0, heartbeat.position_seconds), duration),
        "watched": [[round(a, 3), round(b, 3)] for a, b in merged],
        "watched_seconds": watched_seconds,
        "rejected_seconds": session.rejected_seconds + rejected,
        "last_heartbeat_at": now,
        "last_seen_at": now,
        "rebuffer_ms": session.rebuffer_ms + heartbeat.rebuffer_ms,
        "startup_ms": heartbeat.startup_ms if known_startup is None else known_startup,
        **earning.place(session, watched_seconds - session.watched_seconds, now),
    }


def _implied(session: PlaybackSession, heartbeat: Heartbeat) -> list[Interval]:
    """Return the interval of a heartbeat without ``watched``.

    It leads from the last reported position to this one. A step backwards, or a step that is longer
    than the clock allows, is a seek and gives no interval.
    """
    step = heartbeat.position_seconds - session.position_seconds
    since = session.last_heartbeat_at or session.created_at
    elapsed = (timezone.now() - since).total_seconds()
    is_seek = step > elapsed * SPEED_MAX + settings.HEARTBEAT_SECONDS
    if step <= 0 or is_seek:
        return []
    return [(session.position_seconds, heartbeat.position_seconds)]


def _allowance(session: PlaybackSession, now: datetime) -> float:
    """Return the seconds of video that can have been played since the last heartbeat.

    SPEED_MAX times the time that passed, plus HEARTBEAT_SECONDS as tolerance. The bound over the
    session's whole life grants the tolerance once, so that many heartbeats in a row gain nothing.
    """
    since = session.last_heartbeat_at or session.created_at
    since_heartbeat = (now - since).total_seconds() * SPEED_MAX + settings.HEARTBEAT_SECONDS
    age = (now - session.created_at).total_seconds()
    since_start = age * SPEED_MAX + settings.HEARTBEAT_SECONDS
    return max(0.0, min(since_heartbeat, since_start - session.watched_seconds))
