"""POST /stream/sessions/{id}/heartbeat: reported seconds, and those that the clock allows."""

import uuid
from datetime import timedelta
from itertools import pairwise
from time import process_time

import pytest
import time_machine
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import services as accounts
from payments.tests.kit import code
from streaming import sessions
from streaming.intervals import merge
from streaming.models import PlaybackSession

CLIENT = sessions.Client("Phone/1.0", "127.0.0.1")


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch):
    """Time passes only by `wait`, so the numbers are exact on a machine of any speed."""
    moment = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)


@pytest.fixture
def start(db):
    """A function that starts a session ``ago`` seconds ago and returns it with its grant."""

    def begin(user, video, *, ago=0.0):
        token = sessions.stream_token(user=user, video_id=video.pk)[0]
        session, grant = sessions.redeem(token=token, client=CLIENT)
        session.created_at -= timedelta(seconds=ago)
        session.save(update_fields=["created_at"])
        return session, grant

    return begin


@pytest.fixture
def session(start, viewer, make_video):
    """A session of a video of one minute, started now."""
    return start(viewer, make_video())[0]


@pytest.fixture
def beat(client_for):
    def post(session, *watched, user=None, grant=None, agent=CLIENT.user_agent, **body):
        body = {"position_seconds": 1, "state": "playing", **body}
        if watched:
            body["watched"] = list(watched)
        client = client_for(user or (None if grant else session.user))
        if grant:
            client.credentials(HTTP_PLAYBACK_GRANT=grant)
        return client.post(
            f"/api/v1/stream/sessions/{session.pk}/heartbeat", body, HTTP_USER_AGENT=agent
        )

    return post


def wait(session, seconds: float) -> None:
    """Let ``seconds`` pass: move the session's start and latest heartbeat into the past."""
    session.refresh_from_db()
    session.created_at -= timedelta(seconds=seconds)
    if session.last_heartbeat_at:
        session.last_heartbeat_at -= timedelta(seconds=seconds)
    session.save(update_fields=["created_at", "last_heartbeat_at"])


def seen(session) -> list:
    session.refresh_from_db()
    return session.watched


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple)))
def test_merged_intervals_are_the_same_seconds(intervals):
    seconds = {second for start, end in intervals for second in range(start, end)}
    merged = merge(intervals)
    merged_seconds = {s for start, end in merged for s in range(int(start), int(end))}
    assert merged_seconds == seconds
    assert all(before[1] < after[0] for before, after in pairwise(merged))
    assert merge(merged) == merged


@pytest.mark.django_db
class TestCountedSeconds:
    def test_watched_intervals_are_stored_and_merged(self, session, beat):
        wait(session, 60)
        answer = beat(session, [0, 5], [20, 25], position_seconds=25, startup_ms=300)
        assert (answer.status_code, answer.content) == (204, b"")
        wait(session, 60)
        beat(session, [4, 21], [24, 26], position_seconds=26, rebuffer_ms=70, startup_ms=999)
        assert seen(session) == [[0, 26]]
        assert session.watched_seconds == 26
        assert session.rejected_seconds == 0
        assert (session.position_seconds, session.state) == (26, "playing")
        assert (session.startup_ms, session.rebuffer_ms) == (300, 70)

    def test_no_more_than_the_clock_allows(self, session, beat):
        beat(session, [0, 60])
        assert seen(session) == [[0, 10]]  # The tolerance of one interval, granted once.
        assert session.rejected_seconds == 50
        wait(session, 5)
        beat(session, [10, 60])
        assert seen(session) == [[0, 20]]
        assert session.rejected_seconds == 90

    def test_at_most_twice_the_speed_counts(self, start, viewer, make_video, beat):
        session, _ = start(viewer, make_video(duration_seconds=3600.0))
        beat(session, [0, 0.001])
        wait(session, 100)
        beat(session, [0, 3600])
        assert seen(session) == [[0, 209.999]]

    def test_a_flood_of_heartbeats_earns_nothing(self, start, viewer, make_video, beat):
        session, _ = start(viewer, make_video(duration_seconds=3600.0))
        for number in range(20):
            beat(session, [number * 10, number * 10 + 10])
        assert seen(session) == [[0, 10]]
        assert session.rejected_seconds == 190

    def test_a_long_pause_gives_no_credit_for_a_later_report(self, start, viewer, make_video, beat):
        session, _ = start(viewer, make_video(duration_seconds=3600.0), ago=3000)
        beat(session, state="paused")
        beat(session, [0, 3000])
        assert seen(session) == [[0, 10]]

    def test_only_seconds_of_the_video_count(self, session, beat):
        wait(session, 600)
        beat(session, [55, 75], [100, 200], position_seconds=500)
        assert seen(session) == [[55, 60]]
        assert (session.rejected_seconds, session.position_seconds) == (115, 60)

    def test_watching_again_adds_nothing(self, session, beat):
        for _ in range(3):
            wait(session, 60)
            beat(session, [0, 20])
        assert seen(session) == [[0, 20]]
        assert (session.watched_seconds, session.rejected_seconds) == (20, 0)

    def test_without_intervals_the_step_from_the_last_position_counts(self, session, beat):
        wait(session, 10)
        beat(session, position_seconds=8)
        assert seen(session) == [[0, 8]]
        wait(session, 5)
        beat(session, position_seconds=59)  # A seek.
        assert seen(session) == [[0, 8]]
        beat(session, position_seconds=3)  # A seek backwards.
        assert seen(session) == [[0, 8]]
        assert session.position_seconds == 3

    def test_a_report_with_too_many_intervals_is_rejected(self, start, viewer, make_video, beat):
        session, _ = start(viewer, make_video(duration_seconds=36_000.0), ago=36_000)
        session.watched = [[n * 10, n * 10 + 1] for n in range(500)]
        session.watched_seconds = 500
        session.save(update_fields=["watched", "watched_seconds"])
        beat(session, [5, 6])
        assert len(seen(session)) == 500
        assert (session.watched_seconds, session.rejected_seconds) == (500, 1)
        wait(session, 60)
        beat(session, [1, 2])
        assert seen(session)[0] == [0, 2]


@pytest.mark.django_db
class TestWhoMayReport:
    def test_the_grant_allows_reports_of_an_anonymous_session(self, start, make_video, beat):
        session, grant = start(AnonymousUser(), make_video())
        assert beat(session, [0, 1], grant=grant).status_code == 204
        assert seen(session) == [[0, 1]]
        without = beat(session, [0, 2])
        assert (without.status_code, code(without)) == (404, "not_found")

    def test_other_users_cannot_report_for_a_session(self, session, make_user, beat, admin):
        for stranger in (make_user(), admin):
            answer = beat(session, [0, 5], user=stranger)
            assert (answer.status_code, code(answer)) == (404, "not_found")
        assert seen(session) == []

    def test_a_grant_of_another_session_is_refused(self, session, start, viewer, beat):
        other, grant = start(viewer, session.video)
        broken = grant[:-1] + ("A" if grant[-1] != "A" else "B")
        for wrong in (grant, broken, "x", "é"):
            answer = beat(session, [0, 5], grant=wrong)
            assert (answer.status_code, code(answer)) == (404, "not_found")
        assert beat(session, [0, 5], grant=broken, user=viewer).status_code == 404
        assert (seen(session), seen(other)) == ([], [])

    def test_a_deactivated_user_cannot_report(self, session, viewer, admin, client_for):
        client = client_for(viewer)
        accounts.set_active(user_id=viewer.pk, is_active=False, actor=admin)
        answer = client.post(
            f"/api/v1/stream/sessions/{session.pk}/heartbeat",
            {"position_seconds": 1, "state": "playing", "watched": [[0, 1]]},
        )
        assert answer.status_code == 404
        assert seen(session) == []

    def test_a_broken_bearer_token_is_refused_with_401(self, session, client_for):
        client = client_for()
        client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
        answer = client.post(
            f"/api/v1/stream/sessions/{session.pk}/heartbeat",
            {"position_seconds": 1, "state": "playing"},
        )
        assert (answer.status_code, code(answer)) == (401, "token_invalid")

    def test_an_unknown_session_is_not_found(self, session, viewer, beat):
        answer = beat(PlaybackSession(pk=uuid.uuid4()), user=viewer)
        assert (answer.status_code, code(answer)) == (404, "not_found")

    @pytest.mark.parametrize("end", ["ended", "expired"])
    def test_an_ended_session_is_gone(self, session, beat, end):
        if end == "ended":
            sessions.stop(session=session, actor=session.user)
        else:
            PlaybackSession.objects.update(expires_at=timezone.now())
        answer = beat(session, [0, 5])
        assert (answer.status_code, code(answer)) == (410, "session_ended")
        assert seen(session) == []


BAD = [
    {"position_seconds": "NaN"},
    {"position_seconds": "inf"},
    {"position_seconds": -1},
    {"position_seconds": 10**9},
    {"position_seconds": None},
    {"state": "dancing"},
    {"watched": [["NaN", 5]]},
    {"watched": [[0, "nan"]]},
    {"watched": [[5, 1]]},
    {"watched": [[1]]},
    {"watched": [[1, 2, 3]]},
    {"watched": "all"},
    {"watched": [[0, 1]] * 101},
    {"watched": [[-5, 1]]},
    {"rebuffer_ms": -1},
    {"startup_ms": 10**9},
]


@pytest.mark.django_db
@pytest.mark.parametrize("body", BAD, ids=str)
def test_a_bad_heartbeat_changes_nothing(session, beat, body):
    wait(session, 60)
    answer = beat(session, **{"watched": [[0, 5]], **body})
    assert answer.status_code == 400
    assert (seen(session), session.rejected_seconds, session.last_heartbeat_at) == ([], 0, None)


def test_a_long_report_is_refused_before_its_items_are_read(client_for, session, viewer):
    """Seen once: 100,000 spans cost four seconds."""
    client = client_for(viewer)
    url = f"/api/v1/stream/sessions/{session.pk}/heartbeat"
    started = process_time()

    answer = client.post(
        url, {"position_seconds": 1, "state": "playing", "watched": [["x", "y"]] * 40_000}
    )

    assert (answer.status_code, code(answer)) == (400, "max_length")
    assert len(answer.json()["errors"]) == 1
    assert process_time() - started < 2


def test_invented_sessions_have_a_limit(client_for, settings, session, viewer):
    """Seen once: each invented id had a limit of its own."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "default": 5}
    body = {"position_seconds": 1, "state": "playing"}

    def post(client, pk, address) -> int:
        url = f"/api/v1/stream/sessions/{pk}/heartbeat"
        return client.post(url, body, REMOTE_ADDR=address).status_code

    client = client_for(viewer)
    with time_machine.travel(timezone.now(), tick=False):  # across two minutes it would count twice
        statuses = [post(client, uuid.uuid4(), "192.0.2.7") for _ in range(8)]
    assert statuses == [404] * 5 + [429] * 3
    assert post(client_for(viewer), session.pk, "198.51.100.9") == 204
