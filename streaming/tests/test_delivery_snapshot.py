"""The revocation snapshot: up to date, complete, and stale when the database is away."""

import os
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection

from streaming.delivery import snapshot as module
from streaming.tests.delivery_kit import Sessions, wait_until


class Clock:
    def __init__(self):
        self.now, self.mono = datetime(2026, 1, 1, tzinfo=UTC), 1000.0

    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.mono += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions():
    return Sessions()


@pytest.fixture
def snapshot(clock, sessions):
    made = sessions.snapshot(utcnow=lambda: clock.now, monotonic=lambda: clock.mono)
    made._flushed_at = clock.mono
    return made


def test_before_the_first_load_it_is_stale(snapshot):
    assert snapshot.age() == float("inf")
    assert snapshot.is_stale()


def test_it_knows_sessions_that_ended_before_and_after_the_first_load(snapshot, sessions, clock):
    before, later, running = uuid4(), uuid4(), uuid4()
    sessions.end(before, clock.now - timedelta(hours=11))

    snapshot.step()
    assert snapshot.is_ended(before.bytes)
    assert not snapshot.is_ended(later.bytes)

    clock.pass_time(0.5)
    sessions.end(later, clock.now)
    clock.pass_time(0.1)
    snapshot.step()
    assert snapshot.is_ended(before.bytes)
    assert snapshot.is_ended(later.bytes)
    assert not snapshot.is_ended(running.bytes)


def test_the_first_load_goes_back_the_longest_grant_and_later_ones_the_overlap(
    snapshot, sessions, clock
):
    first = clock.now
    snapshot.step()
    clock.pass_time(0.5)
    snapshot.step()

    assert sessions.loads == [first - timedelta(hours=72), first - timedelta(seconds=25)]


def test_an_end_that_commits_late_is_still_seen(snapshot, sessions, clock):
    stamped = clock.now
    snapshot.step()
    clock.pass_time(20)
    snapshot.step()
    late = uuid4()
    sessions.end(late, stamped + timedelta(seconds=1))  # waited 19 s for a lock

    clock.pass_time(0.5)
    snapshot.step()

    assert snapshot.is_ended(late.bytes)


def test_every_five_minutes_all_ended_sessions_are_loaded_again(snapshot, sessions, clock):
    gone, missed = uuid4(), uuid4()
    sessions.end(gone, clock.now)
    snapshot.step()
    del sessions.ended[gone]  # expired meanwhile
    sessions.end(missed, clock.now - timedelta(hours=1))

    clock.pass_time(299)
    snapshot.step()
    assert snapshot.is_ended(gone.bytes)

    clock.pass_time(1)
    snapshot.step()
    assert not snapshot.is_ended(gone.bytes)
    assert snapshot.is_ended(missed.bytes)


@pytest.mark.promise("refund-stops-playback")
def test_it_goes_stale_when_the_database_stays_away_and_recovers(snapshot, sessions, clock, caplog):
    ended = uuid4()
    sessions.end(ended, clock.now)
    snapshot.step()
    sessions.away = True

    for _ in range(10):
        clock.pass_time(0.5)
        snapshot.step()
    assert snapshot.age() == 5.0
    assert not snapshot.is_stale()
    clock.pass_time(0.1)
    assert snapshot.is_stale()
    assert snapshot.is_ended(ended.bytes)  # An outage forgets no ended session.
    assert sessions.recovered == 10
    assert [record.levelname for record in caplog.records] == [
        "ERROR"
    ]  # One line for the whole outage.

    sessions.away = False
    snapshot.step()
    assert snapshot.age() == 0
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_age_counts_from_the_start_of_the_load(snapshot, sessions, clock):
    load = sessions.load

    def slow(since, now):
        clock.pass_time(3)
        return load(since, now)

    snapshot._load = slow
    snapshot.step()

    assert snapshot.age() == 3


def test_activity_is_stored_every_30_seconds_in_one_call(snapshot, sessions, clock):
    watching, ended = uuid4(), uuid4()
    for _ in range(100):
        snapshot.touch(watching.bytes)
    snapshot.touch(ended.bytes)
    sessions.end(ended, clock.now)

    clock.pass_time(29)
    snapshot.step()
    assert sessions.stored == []

    clock.pass_time(1)
    snapshot.step()
    assert sessions.stored == [([watching], clock.now)]

    clock.pass_time(60)
    snapshot.step()
    assert len(sessions.stored) == 1  # Without activity there is nothing to store.


def test_activity_survives_an_outage(snapshot, sessions, clock):
    early, late = uuid4(), uuid4()
    snapshot.step()
    snapshot.touch(early.bytes)
    clock.pass_time(31)
    flush, snapshot._flush = snapshot._flush, _fail
    snapshot.step()
    snapshot.touch(late.bytes)

    snapshot._flush = flush
    clock.pass_time(31)
    snapshot.step()

    ((ids, _at),) = sessions.stored
    assert set(ids) == {early, late}


def _fail(*_):
    raise ConnectionError("away")


def test_a_failing_recovery_does_not_end_the_thread(snapshot, sessions, clock):
    sessions.away = True
    snapshot._recover = _fail

    snapshot.step()
    sessions.away = False
    snapshot.step()

    assert snapshot.age() == 0


def test_the_listener_is_called_for_newly_ended_sessions_only(snapshot, sessions, clock):
    heard = []
    snapshot.on_ended(lambda: heard.append(clock.now))
    snapshot.step()
    assert heard == []

    sessions.end(uuid4(), clock.now)
    snapshot.step()
    snapshot.step()
    assert len(heard) == 1


@pytest.mark.promise("refund-stops-playback")
def test_the_thread_loads_by_itself_starts_once_and_flushes_at_the_end(sessions):
    subject = sessions.snapshot()
    subject.start()
    thread = subject._thread
    subject.start()
    assert subject._thread is thread
    assert subject.wait_until_loaded(5)
    session, watching = uuid4(), uuid4()
    subject.touch(watching.bytes)

    sessions.end(session)
    began = time.monotonic()
    wait_until(lambda: subject.is_ended(session.bytes))
    assert time.monotonic() - began < 1.5

    subject.stop()
    assert not thread.is_alive()
    assert [ids for ids, _ in sessions.stored] == [[watching]]
    assert sessions.recovered == 1  # its connection is closed


@pytest.mark.promise("refund-stops-playback")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forks_child_has_a_thread_of_its_own(sessions):
    subject = sessions.snapshot()
    subject.start()
    subject.wait_until_loaded(5)
    subject.touch(uuid4().bytes)
    child = os.fork()
    if child == 0:
        try:
            subject.start()
            good = subject.wait_until_loaded(5) and subject._thread.is_alive()
            # The parent stores the activity that the parent saw.
            os._exit(0 if good and not subject._touched else 1)
        finally:
            os._exit(2)
    _pid, status = os.waitpid(child, 0)
    subject.stop()

    assert os.waitstatus_to_exitcode(status) == 0


def test_the_flush_keeps_up_with_a_short_idle_time(settings):
    settings.SESSION_IDLE_SECONDS = 30
    assert module.database_snapshot()._flush_seconds == 10
    settings.SESSION_IDLE_SECONDS = 1800
    assert module.database_snapshot()._flush_seconds == 30


@pytest.fixture
def now():
    return datetime.now(UTC)


@pytest.fixture
def make_session(db, now):
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from streaming.models import PlaybackSession
    from videos.models import Video

    role, _ = Group.objects.get_or_create(name="SOMEBODY")
    creator = get_user_model().objects.create(email="somebody@example.com", role=role)
    video = Video.objects.create(creator=creator, title="A video")

    def make(*, ended=None, expires=timedelta(hours=1), seen=timedelta(0)):
        return PlaybackSession.objects.create(
            video=video,
            version="v1",
            access="free",
            viewer_key="user:x",
            expires_at=now + expires,
            last_seen_at=now - seen,
            ended_at=None if ended is None else now - ended,
            end_reason="" if ended is None else "stopped",
        )

    return make


def test_the_load_returns_sessions_that_ended_and_have_not_expired(
    make_session, now, django_assert_num_queries
):
    late = make_session(ended=timedelta(seconds=1))
    early = make_session(ended=timedelta(hours=2))
    make_session()
    make_session(ended=timedelta(hours=1), expires=timedelta(seconds=-1))

    with django_assert_num_queries(1):
        full = set(module.load_ended_sessions(now - module.LONGEST_GRANT, now))
    with django_assert_num_queries(1):
        fresh = set(module.load_ended_sessions(now - timedelta(seconds=25), now))

    assert full == {late.pk, early.pk}
    assert fresh == {late.pk}


def test_that_query_reads_the_index_of_ended_sessions(now, db):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # PostgreSQL reads a small table without index.
            cursor.execute("SET LOCAL enable_seqscan = off")

    assert "session_ended" in module.ended_sessions(now, now).explain()


def test_activity_is_stored_for_running_sessions_only(make_session, now, django_assert_num_queries):
    watching, silent = (make_session(seen=timedelta(minutes=9)) for _ in range(2))
    ended = make_session(ended=timedelta(minutes=1), seen=timedelta(minutes=9))
    before = ended.last_seen_at

    # With row locks, the rows are locked in their order first (`config.ordered`).
    with django_assert_num_queries(2 if connection.features.has_select_for_update else 1):
        module.store_activity([watching.pk, ended.pk, uuid4()], now)

    for session in (watching, silent, ended):
        session.refresh_from_db()
    assert watching.last_seen_at == now
    assert silent.last_seen_at == ended.last_seen_at == before


def test_activity_of_many_sessions_is_stored_in_few_statements(db, django_assert_num_queries):
    with django_assert_num_queries(3):
        module.store_activity([uuid4() for _ in range(1200)], datetime.now(UTC))
