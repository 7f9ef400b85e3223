"""Statements of the busiest calls; BEGIN, COMMIT and savepoints are not counted."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from payments.entitlements import can_watch
from payments.tests.kit import statements
from streaming import heartbeats, reporting, sessions, watchtime
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_audit_of_reads(settings):
    settings.AUDIT_READS = False


@pytest.fixture
def bought(viewer, make_video, buy):
    video = make_video(price=1999, tags=["sea"])
    buy(viewer, video)
    return video


def start(user, video) -> PlaybackSession:
    token = sessions.stream_token(user=user, video_id=video.pk)[0]
    return sessions.redeem(token=token, client=sessions.Client("x", "127.0.0.1"))[0]


def access_kind(user, video) -> str | None:
    access = can_watch(user, video)
    return access.kind if access else None


def test_a_stream_token_costs_three(client_for, viewer, bought):
    client = client_for(viewer)
    client.get(f"/api/v1/stream/{bought.pk}")
    with statements(exactly=3):  # the caller, the video, the entitlement
        assert client.get(f"/api/v1/stream/{bought.pk}").status_code == 200


@pytest.mark.promise("access-in-one-query")
def test_a_right_costs_one(viewer, make_user, bought, subscribe):
    """One query answers the access question for a buyer, a subscriber and a stranger."""
    viewer.has_perm("videos.add_video")
    with statements(exactly=1):
        assert access_kind(viewer, bought) == "order"
    subscriber = make_user()
    subscribe(subscriber)
    subscriber.has_perm("videos.add_video")
    with statements(exactly=1):
        assert access_kind(subscriber, bought) == "subscription"
    stranger = make_user()
    stranger.has_perm("videos.add_video")
    with statements(exactly=1):
        assert access_kind(stranger, bought) is None


def test_owners_and_free_videos_cost_nothing(viewer, make_video):
    video = make_video()
    viewer.has_perm("videos.add_video")
    video.creator.has_perm("videos.add_video")
    with statements(exactly=0):
        assert access_kind(viewer, video) == "free"
        assert access_kind(video.creator, video) == "owner"


def test_a_heartbeat_costs_two(client_for, viewer, bought):
    token = sessions.stream_token(user=viewer, video_id=bought.pk)[0]
    session, grant = sessions.redeem(token=token, client=sessions.Client("x", "127.0.0.1"))
    url = f"/api/v1/stream/sessions/{session.pk}/heartbeat"
    client, anonymous = client_for(viewer), client_for()
    anonymous.credentials(HTTP_PLAYBACK_GRANT=grant, HTTP_USER_AGENT="x")
    beat = {"position_seconds": 1, "state": "playing", "watched": [[0, 1]]}
    client.post(url, beat)
    client.post(url, {**beat, "state": "paused"})
    for speaker in (client, anonymous):
        # 1. Read the session with its video, if the caller may report for it. 2. Write it.
        with statements(exactly=2):
            assert speaker.post(url, beat).status_code == 204


@pytest.mark.parametrize(("access", "first", "later"), [("order", 5, 4), ("subscription", 8, 6)])
def test_adding_up_a_session_costs_four_or_six(
    viewer, make_video, buy, subscribe, access, first, later
):
    """The worker's minute, for each session with new watch time.

    1. Find the sessions. 2. Lock one. 3. Write it. 4. Write the day's watch time, or insert it. Under a
    subscription also: lock and write the user's clock, or insert and write it.
    """
    video = make_video(price=1999, duration_seconds=600.0)
    with time_machine.travel(datetime(2026, 8, 10, tzinfo=UTC), tick=False) as clock:
        buy(viewer, video) if access == "order" else subscribe(viewer)
        session = start(viewer, video)
        deliver(session.pk)
        for seconds, cost in ((20, first), (40, later)):
            clock.shift(timedelta(seconds=20))
            # A view costs five more, in the first heartbeat.
            with statements(exactly=7 if seconds == 20 else 2):
                heartbeats.take_in(
                    reporting.any_session(session.pk),
                    heartbeats.Heartbeat(seconds, "playing", [(0, seconds)]),
                )
            with statements(exactly=cost):
                assert watchtime.fold() == 1


@pytest.mark.parametrize("size", [1, 12])
def test_lists_and_details_cost_the_same_for_any_size(
    client_for, viewer, make_user, make_video, size
):
    videos = [make_video(tags=[f"tag-{number}", "sea"]) for number in range(size)]
    client = client_for(viewer)
    client.get("/api/v1/videos/")
    with statements(at_most=4):
        answer = client.get("/api/v1/videos/")
    assert len(answer.data["results"]) == size
    with statements(at_most=4):
        assert client.get(f"/api/v1/videos/{videos[0].pk}").status_code == 200


@pytest.mark.parametrize("size", [1, 12])
def test_the_list_of_sessions_costs_two(client_for, viewer, make_video, size):
    for _ in range(size):
        token = sessions.stream_token(user=viewer, video_id=make_video().pk)[0]
        sessions.redeem(token=token, client=sessions.Client("x", "127.0.0.1"))
    client = client_for(viewer)
    client.get("/api/v1/stream/sessions/")
    with statements(exactly=2):
        answer = client.get("/api/v1/stream/sessions/")
    assert len(answer.data["results"]) == size
