"""What old playback sessions lose, and that every figure that rests on them stays."""

from datetime import timedelta

import pytest
from django.utils import timezone

from analytics.models import VideoView
from analytics.tests.kit import begin, view
from payments.models import WatchDaily
from streaming import forgetting, watchtime
from streaming.models import PlaybackSession

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def ended(session: PlaybackSession, *, ago: timedelta) -> PlaybackSession:
    at = timezone.now() - ago
    PlaybackSession.objects.filter(pk=session.pk).update(
        ended_at=at, end_reason="idle", created_at=at - DAY, expires_at=at, last_seen_at=at
    )
    return session


def test_old_sessions_forget_their_devices_and_no_figure_changes(
    client_for, admin, creator, viewer, make_user, make_video
):
    video = make_video(creator=creator)
    old = [
        ended(view(viewer, video, seconds=30.0), ago=forgetting.KEPT + DAY),
        ended(view(None, video, seconds=20.0), ago=forgetting.KEPT + DAY),
        ended(begin(make_user(), video), ago=forgetting.KEPT + DAY),
    ]
    young = ended(view(make_user(), video, seconds=40.0), ago=forgetting.KEPT - DAY)
    running = view(make_user(), video, seconds=10.0)
    own = ended(view(creator, video, seconds=50.0), ago=forgetting.KEPT + DAY)
    watchtime.fold()
    start, end = timezone.now() - 100 * DAY, timezone.now() + DAY
    period = f"?from={start:%Y-%m-%dT%H:%M:%SZ}&to={end:%Y-%m-%dT%H:%M:%SZ}&interval=day"

    def figures():
        urls = (f"analytics/videos/{video.pk}", "analytics/admin", "analytics/creator")
        pages = [client_for(admin).get(f"/api/v1/{url}{period}").json() for url in urls]
        assert pages[0]["totals"]["watch_seconds"] == 100.0
        return (
            pages,
            list(VideoView.objects.order_by("pk").values()),
            list(WatchDaily.objects.order_by("pk").values()),
        )

    before = figures()
    assert forgetting.forget_devices() == 4
    assert forgetting.forget_devices() == 0
    assert figures() == before

    for session in old:
        session.refresh_from_db()
        assert (session.network, session.user_agent) == (None, "")
    for session in (young, running):
        session.refresh_from_db()
        assert (session.network, session.user_agent) == ("203.0.113.0", "Phone/1.0")
    assert not PlaybackSession.objects.filter(pk=own.pk).exists()


def test_watch_time_that_is_not_in_the_books_yet_stays(viewer, make_video):
    video = make_video()
    ended(view(viewer, video, seconds=30.0), ago=forgetting.KEPT + DAY)
    forgetting.forget_devices()

    assert watchtime.fold() == 1
    assert WatchDaily.objects.get().seconds == 30
