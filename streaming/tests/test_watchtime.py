"""From heartbeats to daily watch time, which refunds and the pool read."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from payments.models import WatchDaily
from payments.tests.kit import VISA, together
from streaming import heartbeats, reporting, sessions, watchtime
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver

CLIENT = sessions.Client("Phone/1.0", "203.0.113.7")


@pytest.fixture
def play(db):
    """A function that plays a video from its beginning, with a heartbeat every ten seconds.

    Each call plays after all calls before.
    """
    played = timedelta()

    def run(user, video, seconds: int, speed: float = 1.0) -> PlaybackSession:
        nonlocal played
        with time_machine.travel(timezone.now() + played, tick=False) as clock:
            played += timedelta(seconds=seconds)
            token = sessions.stream_token(user=user, video_id=video.pk)[0]
            session = sessions.redeem(token=token, client=CLIENT)[0]
            deliver(session.pk)
            for step in range(10, seconds + 1, 10):
                clock.shift(timedelta(seconds=10))
                heartbeats.take_in(
                    reporting.any_session(session.pk),
                    heartbeats.Heartbeat(
                        position_seconds=step * speed,
                        state="playing",
                        watched=[((step - 10) * speed, step * speed)],
                    ),
                )
        return session

    return run


def days() -> list[tuple[int, int]]:
    return list(WatchDaily.objects.values_list("seconds", "plan_seconds"))


@pytest.fixture
def video(make_video):
    video = make_video(price=1999)
    type(video).objects.filter(pk=video.pk).update(duration_seconds=600)
    video.refresh_from_db()
    return video


@pytest.mark.django_db
class TestFolding:
    def test_a_subscribers_seconds_count_once(self, viewer, video, subscribe, play):
        subscribe(viewer)
        play(viewer, video, 100)
        assert days() == []
        assert watchtime.fold() == 1
        assert days() == [(100, 100)]
        assert watchtime.fold() == 0
        assert days() == [(100, 100)]

    @pytest.mark.promise("watch-time-that-counts")
    def test_double_speed_counts_by_the_clock(self, viewer, video, subscribe, play):
        """A video played at double speed counts the seconds of the clock, not those of the video."""
        subscribe(viewer)
        session = play(viewer, video, 100, speed=2.0)
        session.refresh_from_db()
        assert session.watched_seconds == 200
        watchtime.fold()
        assert days() == [(100, 100)]

    @pytest.mark.promise("watch-time-that-counts")
    def test_a_bought_video_earns_nothing_from_the_pool(self, client_for, viewer, video, play, buy):
        """The seconds of a bought video are counted, but carry no weight in the pool."""
        buy(viewer, video)
        play(viewer, video, 100)
        watchtime.fold()
        assert days() == [(100, 0)]

    @pytest.mark.promise("watch-time-that-counts")
    def test_a_subscriber_who_bought_it_does_not_feed_the_pool(
        self, client_for, viewer, video, play, subscribe
    ):
        """A subscriber's seconds carry no weight for a video that the subscriber also bought."""
        subscribe(viewer)
        client_for(viewer).post(
            f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA, "force": True}
        )
        play(viewer, video, 100)
        watchtime.fold()
        assert days() == [(100, 0)]

    @pytest.mark.promise("watch-time-that-counts")
    def test_creators_do_not_watch_themselves_rich(self, video, play):
        """A creator's views of their own video are not counted."""
        play(video.creator, video, 100)
        watchtime.fold()
        assert days() == []

    @pytest.mark.promise("watch-time-that-counts")
    def test_again_and_again_ends_at_three_lengths_a_day(self, viewer, video, subscribe, play):
        """A viewer's day carries at most the weight of three times the video's length."""
        subscribe(viewer)
        type(video).objects.filter(pk=video.pk).update(duration_seconds=20)
        for _ in range(5):
            play(viewer, video, 20)
            watchtime.fold()
        assert days() == [(100, 60)]


@pytest.mark.django_db(transaction=True)
def test_two_workers_fold_a_second_once(viewer, video, subscribe, play):
    subscribe(viewer)
    play(viewer, video, 100)
    together([watchtime.fold] * 6)
    assert days() == [(100, 100)]
