"""The rule for views: when a session counts, and when it counts again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from analytics.counting import ANONYMOUS_VIEWS_BY_NETWORK
from analytics.models import VideoView
from analytics.tests.kit import PHONE, begin, report, view
from payments.tests.kit import together
from streaming import sessions, viewers
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver
from videos.models import Video

LAPTOP = sessions.Client("Laptop/1.0", "203.0.113.7")
ELSEWHERE = sessions.Client("Phone/1.0", "198.51.100.7")
NEIGHBOUR = sessions.Client("Phone/1.0", "203.0.113.99")


def views_of(video) -> int:
    """Return the number of views; the rows and the video's own counter must agree."""
    counted = VideoView.objects.filter(video=video).count()
    assert Video.objects.get(pk=video.pk).views == counted
    return counted


@pytest.mark.django_db
class TestAView:
    @pytest.mark.parametrize(
        ("duration", "seconds", "counts"),
        [
            (60.0, 9.9, False),
            (60.0, 10.0, True),
            (20.0, 10.0, True),
            (8.0, 3.9, False),
            (8.0, 4.0, True),
            (2.0, 1.0, True),
        ],
    )
    def test_is_ten_seconds_or_half_of_a_short_video(
        self, viewer, make_video, duration, seconds, counts
    ):
        video = make_video(duration_seconds=duration)
        view(viewer, video, seconds=seconds)
        assert views_of(video) == counts

    def test_is_made_of_all_that_a_session_watched(self, viewer, make_video):
        video = make_video()
        session = begin(viewer, video)
        report(session, (0.0, 4.0), (30.0, 34.0))
        assert views_of(video) == 0
        report(session, (0.0, 4.0))
        assert views_of(video) == 0
        report(session, (50.0, 52.0))
        assert views_of(video) == 1

    def test_is_counted_once_a_session(self, viewer, make_video):
        video = make_video()
        session = begin(viewer, video, ago=600)
        for start in (0.0, 11.0, 22.0, 40.0):
            report(session, (start, start + 10.0))
        assert views_of(video) == 1

    def test_is_counted_once_a_session_even_when_the_video_grows(self, viewer, make_video):
        video = make_video(duration_seconds=10.0)
        session = begin(viewer, video, ago=600)
        report(session, (0.0, 6.0))
        VideoView.objects.update(at=timezone.now() - timedelta(hours=1))
        Video.objects.filter(pk=video.pk).update(duration_seconds=60.0)
        report(session, (6.0, 15.0))
        assert views_of(video) == 1
        session.refresh_from_db()
        assert session.watched == [[0, 15]]

    def test_counts_again_half_an_hour_later(self, viewer, make_video):
        video = make_video()
        view(viewer, video)
        view(viewer, video)
        assert views_of(video) == 1
        VideoView.objects.update(at=timezone.now() - timedelta(minutes=29))
        view(viewer, video)
        assert views_of(video) == 1
        VideoView.objects.update(at=timezone.now() - timedelta(minutes=30, seconds=1))
        view(viewer, video)
        assert views_of(video) == 2

    def test_needs_the_bytes_that_it_watched(self, viewer, make_video):
        """Seen once: 30 views in 2.6 seconds, without a byte fetched."""
        video = make_video()
        session = begin(viewer, video, delivered=0)
        report(session, (0.0, 60.0))
        assert views_of(video) == 0
        deliver(session.pk, 8.0)
        report(session, (0.0, 60.0))
        assert views_of(video) == 0
        deliver(session.pk, 8.0)  # the same two segments again are no more seconds
        assert views_of(video) == 0
        deliver(session.pk, 12.0)  # the fact may come after the report
        assert views_of(video) == 1
        session.refresh_from_db()
        assert (session.delivered_seconds, session.counted_seconds) == (12, 12)

    def test_needs_the_time_that_it_watched(self, viewer, make_video):
        video = make_video(duration_seconds=600.0)
        session = begin(viewer, video, ago=6.0)
        report(session, (0.0, 20.0))
        assert views_of(video) == 0
        session.refresh_from_db()
        assert session.watched_seconds == 20  # At twice the speed, and with the tolerance.
        PlaybackSession.objects.update(created_at=timezone.now() - timedelta(seconds=10))
        report(session, (0.0, 20.0))
        assert views_of(video) == 1

    @pytest.mark.parametrize(("address", "other"), [
        ("203.0.113.7", "203.0.113.8"),
        ("2001:db8:1:2::7", "2001:db8:1:3::7"),
        ("", "203.0.113.7"),
    ])  # fmt: skip
    def test_of_one_network_is_bounded_by_day(self, make_video, address, other):
        video = make_video()
        clients = [
            sessions.Client(
                f"Invented/{number}", f"{address}{number % 3 if ':' in address else ''}"
            )
            for number in range(30)
        ]
        for client in clients:
            view(None, video, client=client)
        assert views_of(video) == ANONYMOUS_VIEWS_BY_NETWORK
        view(None, video, client=sessions.Client("Phone/1.0", other))
        view(None, make_video(), client=clients[-1])
        assert VideoView.objects.count() == ANONYMOUS_VIEWS_BY_NETWORK + 2
        PlaybackSession.objects.update(network_key="yesterday")
        VideoView.objects.update(network_key="yesterday")
        view(None, video, client=sessions.Client("Invented/30", address))
        assert views_of(video) == ANONYMOUS_VIEWS_BY_NETWORK + 2

    def test_of_users_behind_one_address_is_bounded_later(self, make_user, make_video, monkeypatch):
        monkeypatch.setattr("analytics.counting.VIEWS_BY_NETWORK", 12)
        video = make_video()
        for number in range(14):
            view(make_user(), video, client=sessions.Client(f"Invented/{number}", "203.0.113.7"))
        assert views_of(video) == 12

    def test_of_another_video_or_viewer_is_another_view(self, viewer, make_user, make_video):
        video, other = make_video(), make_video()
        for user in (viewer, make_user()):
            view(user, video)
            view(user, other)
        assert (views_of(video), views_of(other)) == (2, 2)

    @pytest.mark.parametrize("who", ["owner", "admin"])
    def test_is_never_the_owners_or_an_administrators(self, make_user, make_video, who):
        video = make_video()
        user = video.creator if who == "owner" else make_user(Role.ADMIN)
        session = view(user, video)
        assert views_of(video) == 0
        session.refresh_from_db()
        assert session.watched_seconds == 10  # The playback itself is recorded.

    def test_of_an_anonymous_viewer_is_by_network_and_device(self, make_video):
        video = make_video()
        view(None, video, client=PHONE)
        view(None, video, client=NEIGHBOUR)  # the same network and device
        assert views_of(video) == 1
        view(None, video, client=LAPTOP)
        view(None, video, client=ELSEWHERE)
        assert views_of(video) == 3

    def test_gives_an_anonymous_viewer_another_key_every_day(self, make_video, settings):
        day = timezone.now()
        key = viewers.key_of(None, PHONE, day)
        assert key == viewers.key_of(None, PHONE, day)
        assert key != viewers.key_of(None, PHONE, day + timedelta(days=1))
        assert "203" not in key
        assert "Phone" not in key
        settings.GRANT_KEY = b"another key"
        assert key != viewers.key_of(None, PHONE, day)
        view(None, make_video())
        assert "203.0.113.7" not in str(list(PlaybackSession.objects.values_list()))


@pytest.mark.django_db(transaction=True)
def test_sessions_that_race_count_one_view_for_each_viewer(viewer, make_user, make_video):
    video, other = make_video(), make_user()
    racing = [begin(user, video) for user in (viewer, other) for _ in range(6)]
    together([lambda s=session: report(s, (0.0, 10.0)) for session in racing])
    assert views_of(video) == 2
    assert VideoView.objects.values("viewer_key").distinct().count() == 2


@pytest.mark.django_db(transaction=True)
def test_heartbeats_of_one_session_that_race_lose_nothing(viewer, make_video):
    video = make_video(duration_seconds=600.0)
    session = begin(viewer, video, ago=3600)
    together([lambda n=n: report(session, (n * 2.0, n * 2.0 + 1.0)) for n in range(8)])
    session.refresh_from_db()
    assert session.watched_seconds == 8
    assert session.rejected_seconds == 0
