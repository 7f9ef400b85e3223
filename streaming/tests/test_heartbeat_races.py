"""A heartbeat reads its session without a lock: what happens to the session meanwhile is never lost."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from streaming import heartbeats, reporting, sessions, watchtime
from streaming.errors import SessionEnded
from streaming.models import PlaybackSession

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(viewer, make_video):
    token = sessions.stream_token(user=viewer, video_id=make_video().pk)[0]
    started = sessions.redeem(token=token, client=sessions.Client("Phone/1.0", "127.0.0.1"))[0]
    started.created_at -= timedelta(minutes=1)
    started.delivered_seconds = 60
    started.save(update_fields=["created_at", "delivered_seconds"])
    return started


@pytest.fixture
def meanwhile(monkeypatch):
    """A function that lets something happen after the next heartbeat has read its session."""
    read = reporting.Find.session
    waiting: list[Callable[[], object]] = []

    def reading(find, *, lock):
        found = read(find, lock=lock)
        if waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(reporting.Find, "session", reading)
    return waiting.append


def beat(session: PlaybackSession, *watched: tuple[float, float], **fields) -> None:
    heartbeats.take_in(
        reporting.any_session(session.pk),
        heartbeats.Heartbeat(watched[-1][1], "playing", list(watched), **fields),
    )


def test_another_heartbeat_counts_too(session, meanwhile):
    meanwhile(lambda: beat(session, (0, 5), rebuffer_ms=20))

    beat(session, (5, 8), rebuffer_ms=3)

    session.refresh_from_db()
    assert (session.watched, session.watched_seconds) == ([[0, 8]], 8)
    assert (session.counted_seconds, session.rebuffer_ms) == (8, 23)


def test_a_session_that_ended_meanwhile_stays_as_it_ended(session, meanwhile):
    running = PlaybackSession.objects.filter(pk=session.pk)
    meanwhile(lambda: sessions.end(running, PlaybackSession.EndReason.STOPPED))

    with pytest.raises(SessionEnded):
        beat(session, (0, 5))

    session.refresh_from_db()
    assert (session.watched, session.last_heartbeat_at) == ([], None)


def test_delivered_seconds_are_those_of_the_moment_of_writing(session, meanwhile):
    session.delivered_seconds = 2
    session.save(update_fields=["delivered_seconds"])
    row = PlaybackSession.objects.filter(pk=session.pk)
    meanwhile(lambda: row.update(delivered_seconds=4))

    beat(session, (0, 5))

    session.refresh_from_db()
    assert (session.watched_seconds, session.counted_seconds) == (5, 4)


def test_moments_that_were_added_up_meanwhile_do_not_come_back(session, meanwhile):
    session.access = "subscription"
    session.save(update_fields=["access"])
    beat(session, (0, 5))
    meanwhile(watchtime.fold)

    beat(session, (5, 7))

    session.refresh_from_db()
    assert session.folded_seconds == 5
    assert sum(end - start for start, end in session.moments) == 2000


def test_a_heartbeat_of_the_same_moment_is_computed_under_a_lock(session, monkeypatch):
    """The time of the latest heartbeat could not tell the one from the other."""
    moment = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    beat(session, (0, 5))
    locks = []
    read = reporting.Find.session

    def reading(find, *, lock):
        locks.append((lock, connection.in_atomic_block))
        return read(find, lock=lock)

    monkeypatch.setattr(reporting.Find, "session", reading)
    beat(session, (5, 6))

    assert locks[-1] == (True, True)
    session.refresh_from_db()
    assert session.watched == [[0, 6]]
