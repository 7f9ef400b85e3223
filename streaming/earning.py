"""Earning: the moments at which a user's watching earns from the pool, each of them once.

A heartbeat says how many seconds were played, not when, so the seconds are placed at moments since the
session's heartbeat before. When the worker adds the seconds to the daily watch time, the session takes
those of its moments that no other session of the same user has taken. So of several sessions that played
at a moment, the one whose heartbeat came first earns it. The others keep their watch time, without
weight in the pool.

Moments are intervals of whole milliseconds since 1970 (UTC).
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from django.conf import settings

from streaming.intervals import Interval, merge, total, within, without
from streaming.models import PlaybackSession, WatchClock

SECOND = 1000
DAY = 86_400 * SECOND
MOMENTS_MAX = 50  # intervals of a session that wait: bounds the size of its row
TAKEN_MAX = 200  # intervals of a user: bounds the size of the row


def place(session: PlaybackSession, seconds: float, now: datetime) -> dict[str, object]:
    """Place newly watched ``seconds`` of a heartbeat at moments; return the session's changed fields.

    The moments lie between the heartbeat before and ``now``, and after all moments that the session has
    used. Seconds for which no moment is left earn nothing. A heartbeat may come HEARTBEAT_SECONDS late,
    or after its successor, and loses nothing. Nothing changes for a session that does not earn.
    """
    if not session.earns or seconds <= 0:
        return {}
    at, length, tolerance = _ms(now), round(seconds * SECOND), settings.HEARTBEAT_SECONDS * SECOND
    start = max(
        _ms(session.created_at),
        session.placed_until,
        _ms(session.last_heartbeat_at or session.created_at) - tolerance,
        at - length - tolerance,  # After a silent pause, the player has played lately.
    )
    end = min(start + length, at)
    if start >= end:
        return {}
    moments = merge([*_pairs(session.moments), (start, end)])
    while len(moments) > MOMENTS_MAX:  # Move the oldest ones over a gap: their length stays.
        first, second = moments[:2]
        moments[:2] = [(second[0] - (first[1] - first[0]), second[1])]
    return {"moments": moments, "placed_until": end}


def take(user_id: uuid.UUID, moments: Sequence[Interval]) -> list[Interval]:
    """Take the moments that no session of the user has taken, and return them: whole seconds together.

    Locks the user's row, so that a moment is taken once. Call it in a transaction, after the session is
    locked.
    """
    if not moments:
        return []
    clock, _ = WatchClock.objects.select_for_update(of=("self",)).get_or_create(user_id=user_id)
    known = _pairs(clock.taken)
    free = without(moments, known)
    # Another session may earn the part of a second that is left.
    free = within(free, total(free) // SECOND * SECOND)
    taken = merge([*known, *free])
    if (extra := len(taken) - TAKEN_MAX) > 0:  # Close the oldest gaps: nobody reports for them now.
        taken[: extra + 1] = [(taken[0][0], taken[extra][1])]
    clock.taken = taken
    clock.save(update_fields=["taken"])
    return free


def seconds_by_day(moments: Iterable[Interval]) -> defaultdict[date, int]:
    """Return the whole seconds of the moments by their day (UTC).

    A second that midnight divides counts for the later day.
    """
    seconds: defaultdict[date, int] = defaultdict(int)
    carried = 0
    for start, end in merge(moments):
        begin = int(start)
        while begin < end:
            stop = min(int(end), (begin // DAY + 1) * DAY)
            whole, carried = divmod(stop - begin + carried, SECOND)
            seconds[datetime.fromtimestamp(begin / SECOND, UTC).date()] += whole
            begin = stop
    return seconds


def _pairs(stored: list[list[int]]) -> list[Interval]:
    return [(start, end) for start, end in stored]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * SECOND)
