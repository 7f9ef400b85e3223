"""How many videos one person plays at once: the places, who holds one, and who gets one back."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from audit.models import AuditEntry
from payments.models import Plan
from payments.tests.kit import code, together
from streaming import devices, heartbeats, limits, reporting, sessions
from streaming.errors import SessionEnded, TooManyStreams
from streaming.models import PlaybackSession

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
CLIENT = sessions.Client(FIREFOX, "203.0.113.7")
NOW = datetime(2026, 8, 10, tzinfo=UTC)


def token_for(user, video) -> str:
    return sessions.stream_token(user=user, video_id=video.pk)[0]


def start(user, video) -> PlaybackSession:
    return sessions.redeem(token=token_for(user, video), client=CLIENT)[0]


def beat(session) -> None:
    heartbeats.take_in(
        reporting.any_session(session.pk), heartbeats.Heartbeat(0, "paused", watched=[])
    )


def ends() -> list[str]:
    return list(PlaybackSession.objects.order_by("created_at").values_list("end_reason", flat=True))


class TestPlaces:
    def test_one_more_is_refused_with_those_that_run(
        self, client_for, viewer, make_video, settings
    ):
        """One more is refused with the sessions that hold a place, and changes nothing."""
        settings.MAX_CONCURRENT_STREAMS = 2
        first, second = (start(viewer, make_video(title=title)) for title in ("Fog", "Rain"))
        entries = AuditEntry.objects.count()
        client = client_for()
        client.credentials(HTTP_ACCEPT="application/json", HTTP_USER_AGENT="VLC/3.0.20")
        address = f"/api/v1/stream/play/{token_for(viewer, make_video())}"
        answer = client.get(address)
        assert (answer.status_code, code(answer)) == (409, "too_many_streams")
        listed = answer.json()["errors"][0]["sessions"]
        assert [(each["id"], each["video_title"], each["device"]) for each in listed] == [
            (str(first.pk), "Fog", "Firefox on Windows"),
            (str(second.pk), "Rain", "Firefox on Windows"),
        ]
        assert listed[0]["video_id"] == str(first.video_id)
        assert listed[0]["created_at"] == first.created_at.isoformat().replace("+00:00", "Z")
        assert (ends(), AuditEntry.objects.count()) == (["", ""], entries)

        # "Watch here instead": the other session is stopped, and the same token is good.
        own = client_for(viewer)
        assert own.delete(f"/api/v1/stream/sessions/{first.pk}").status_code == 204
        assert client.get(address).status_code == 200
        assert ends() == ["stopped", "", ""]
        rows = own.get("/api/v1/stream/sessions/").data["results"]
        assert [(row["device"], row["video_title"]) for row in rows] == [
            ("VLC", "A video"), ("Firefox on Windows", "Rain"),
        ]  # fmt: skip

    def test_without_a_limit_everything_starts(self, viewer, make_video, settings):
        assert settings.MAX_CONCURRENT_STREAMS == 0  # the default
        video = make_video()
        for _ in range(12):
            start(viewer, video)
        assert ends() == [""] * 12

    def test_a_token_continues_its_session_without_another_place(
        self, viewer, make_video, settings
    ):
        settings.MAX_CONCURRENT_STREAMS = 1
        token = token_for(viewer, make_video())
        first = sessions.redeem(token=token, client=CLIENT)[0]
        assert sessions.redeem(token=token, client=CLIENT)[0] == first

    def test_another_person_has_other_places_and_strangers_have_no_limit(
        self, viewer, make_user, make_video, settings
    ):
        settings.MAX_CONCURRENT_STREAMS = 1
        video = make_video()
        start(viewer, video)
        start(make_user(), video)
        for _ in range(3):
            start(sessions.AnonymousUser(), video)
        with pytest.raises(TooManyStreams):
            start(viewer, video)
        assert ends() == [""] * 5

    def test_playback_that_is_not_counted_holds_no_place(
        self, admin, creator, make_video, settings
    ):
        settings.MAX_CONCURRENT_STREAMS = 1
        own = make_video(creator=creator, price=500)
        for user in (admin, creator, creator, admin):
            start(user, own)
        start(creator, free := make_video())
        with pytest.raises(TooManyStreams):
            start(creator, free)
        assert PlaybackSession.objects.running().count() == 5

    @pytest.mark.parametrize("ended", ["stopped", "expired"])
    def test_a_session_that_is_over_holds_none(self, viewer, make_video, settings, ended):
        settings.MAX_CONCURRENT_STREAMS = 1
        session = start(viewer, make_video())
        if ended == "stopped":
            sessions.stop(session=session, actor=viewer)
        else:
            PlaybackSession.objects.update(expires_at=session.created_at)
        start(viewer, make_video())


class TestPlans:
    @pytest.mark.parametrize(
        ("of_plan", "of_all", "most"), [(3, 1, 3), (1, 5, 1), (None, 2, 2), (0, 1, 0), (2, 0, 2)]
    )
    def test_the_plan_comes_before_the_setting(
        self, viewer, subscribe, make_video, settings, of_plan, of_all, most
    ):
        settings.MAX_CONCURRENT_STREAMS = of_all
        subscribe(viewer)
        Plan.objects.update(max_streams=of_plan)
        assert limits.limit_of(viewer.pk, sessions.timezone.now()) == most
        paid, free = make_video(price=500), make_video()
        for video in (paid, free, paid)[: most or 3]:
            start(viewer, video)
        if most:
            with pytest.raises(TooManyStreams):
                start(viewer, free)

    def test_a_plan_counts_while_it_is_subscribed_to(self, viewer, make_user, subscribe, settings):
        settings.MAX_CONCURRENT_STREAMS = 1
        subscribe(viewer)
        Plan.objects.update(max_streams=4)
        now = sessions.timezone.now()
        assert limits.limit_of(viewer.pk, now) == 4
        assert limits.limit_of(viewer.pk, now + timedelta(days=100)) == 1
        assert limits.limit_of(make_user().pk, now) == 1

    def test_an_administrator_sets_it(self, client_for, admin):
        plan = Plan.objects.create(code="home", name="Home", amount=999, currency="USD")
        client, url = client_for(admin), f"/api/v1/payments/admin/plans/{plan.pk}"
        for value in (4, None, 0):
            answer = client.patch(url, {"max_streams": value}, format="json")
            assert (answer.status_code, answer.data["max_streams"]) == (200, value)
        assert client.patch(url, {"name": "House"}, format="json").data["max_streams"] == 0
        changed = AuditEntry.objects.filter(action="plan.changed").order_by("id")
        assert changed[0].data["changes"] == {"max_streams": {"before": None, "after": 4}}
        for wrong in (-1, 1001, "many"):
            answer = client.patch(url, {"max_streams": wrong}, format="json")
            assert answer.status_code == 400
        plan.refresh_from_db()
        assert plan.max_streams == 0


class TestSilence:
    def test_a_silent_session_gives_its_place_to_one_that_needs_it(
        self, viewer, make_video, settings
    ):
        """It goes on as long as nobody needs the place, and starts again when there is room."""
        settings.MAX_CONCURRENT_STREAMS = 2
        video = make_video()
        with time_machine.travel(NOW, tick=False) as clock:
            paused = start(viewer, video)
            clock.shift(timedelta(seconds=limits.PLACE_SECONDS + 1))
            kept = start(viewer, video)  # there is a second place: nothing ends
            assert ends() == ["", ""]
            clock.shift(timedelta(seconds=1))
            latest = start(viewer, video)
            assert ends() == ["idle", "", ""]
            with pytest.raises(SessionEnded):
                beat(paused)
            with pytest.raises(TooManyStreams):
                start(viewer, video)
            sessions.stop(session=kept, actor=viewer)
            clock.shift(timedelta(seconds=1))
            start(viewer, video)  # a new token, without a new purchase
            assert ends() == ["idle", "stopped", "", ""]
            assert latest.pk in set(PlaybackSession.objects.running().values_list("pk", flat=True))

    def test_a_bought_video_goes_on_after_a_pause_of_hours(self, viewer, make_video, buy, settings):
        """After hours of silence a viewer watches on with a new token, without a new purchase."""
        settings.MAX_CONCURRENT_STREAMS = 1
        buy(viewer, video := make_video(price=1999))
        now = sessions.timezone.now()
        with time_machine.travel(now, tick=False) as clock:
            start(viewer, video)
            clock.shift(timedelta(hours=5))
            sessions.end_idle()
            assert ends() == ["idle"]
            again = start(viewer, video)
        assert again.access == "order"
        assert viewer.orders.count() == 1

    def test_a_paused_player_that_reports_holds_its_place(self, viewer, make_video, settings):
        settings.MAX_CONCURRENT_STREAMS = 1
        video = make_video()
        with time_machine.travel(NOW, tick=False) as clock:
            paused = start(viewer, video)
            for _ in range(30):
                clock.shift(timedelta(seconds=60))
                beat(paused)
                with pytest.raises(TooManyStreams):
                    start(viewer, video)
        assert ends() == [""]

    def test_a_limit_that_was_lowered_ends_only_silent_sessions(self, viewer, make_video, settings):
        video = make_video()
        with time_machine.travel(NOW, tick=False) as clock:
            silent = [start(viewer, video) for _ in range(3)]
            clock.shift(timedelta(seconds=limits.PLACE_SECONDS + 1))
            playing = [start(viewer, video) for _ in range(2)]
            settings.MAX_CONCURRENT_STREAMS = 2
            with pytest.raises(TooManyStreams) as refused:
                start(viewer, video)
            assert ends() == [""] * 5
            extra: Any = refused.value.extra
            shown = [each["id"] for each in extra["sessions"]]
            assert sorted(shown) == sorted(str(session.pk) for session in playing)
            settings.MAX_CONCURRENT_STREAMS = 3
            start(viewer, video)
        assert Counter(ends()) == {"": 3, "idle": len(silent)}


@pytest.mark.twice
@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.mark.parametrize("starts", [60, pytest.param(500, marks=pytest.mark.long, id="500")])
    def test_starts_at_the_same_moment_never_pass_the_limit(
        self, viewer, make_video, settings, monkeypatch, starts
    ):
        """Of many starts at the same moment exactly as many succeed as there are places."""
        settings.MAX_CONCURRENT_STREAMS = 5
        # However slow the machine is: no token expires, and no session falls silent.
        settings.STREAM_TOKEN_SECONDS = 3600
        monkeypatch.setattr(limits, "PLACE_SECONDS", 3600)
        at_once = 20  # threads: a database has no more connections than a service opens
        # A start locks its video, too: those of one video would wait for each other anyway.
        videos = [make_video() for _ in range(at_once)]
        tokens = [token_for(viewer, videos[number % at_once]) for number in range(starts)]

        def redeem(token):
            def call() -> str:
                try:
                    sessions.redeem(token=token, client=CLIENT)
                except TooManyStreams:
                    return "refused"
                return "started"

            return call

        outcomes: Counter[str] = Counter()
        for first in range(0, starts, at_once):
            outcomes.update(together([redeem(each) for each in tokens[first : first + at_once]]))
        assert outcomes == {"started": 5, "refused": starts - 5}
        assert PlaybackSession.objects.running().count() == 5


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("VLC/3.0.20 LibVLC/3.0.20", "VLC"),
        ("Lavf/61.7.100", "Lavf"),
        ("Phone/1.0", "Phone"),
        ("Phone\x1b[2J/1.0", "Phone[2J"),
        ("", "Unknown device"),
        ("/", "Unknown device"),
        ("<" * 500, "<" * 80),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
            "Mobile Safari on iOS",
        ),
    ],
)
def test_devices_in_words(user_agent, words):
    assert devices.name_of(user_agent) == words
