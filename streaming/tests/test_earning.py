"""A person's watching earns each moment of their clock once, over all sessions, videos and devices."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db.models import Sum
from hypothesis import given
from hypothesis import strategies as st

from payments.models import WatchDaily
from payments.services.sharing import pools
from payments.tests.kit import together
from payments.tests.months import AUGUST, close
from streaming import earning, watchtime
from streaming.intervals import Interval, merge, total, without
from streaming.models import PlaybackSession, WatchClock
from streaming.tests.kit import deliver

API = "/api/v1"
START = datetime(2026, 8, 10, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def video(make_video):
    return make_video(price=1999, duration_seconds=600.0)


@pytest.fixture
def open_player(db, clock, client_for):
    """A function that starts a playback session of a user over HTTP and returns its player."""

    def start(user, video, *, delivered=600.0) -> Player:
        return Player(client_for(user), clock, video, delivered)

    return start


class Player:
    """A player that reports over HTTP, and that the test can let report what it likes."""

    def __init__(self, client, clock, video, delivered):
        url = client.get(f"{API}/stream/{video.pk}").data["stream_url"]
        answer = client.get(url, HTTP_ACCEPT="application/json")
        self.client, self.clock, self.pk = client, clock, answer.data["session_id"]
        self.position = 0.0
        if delivered:
            deliver(self.pk, delivered)

    def report(self, *watched, state="playing") -> None:
        body = {"position_seconds": self.position, "state": state, "watched": list(watched)}
        answer = self.client.post(f"{API}/stream/sessions/{self.pk}/heartbeat", body)
        assert answer.status_code == 204, answer.data

    def played(self, seconds: float) -> None:
        """Report the next seconds of the video."""
        begin, self.position = self.position, self.position + seconds
        self.report([begin, self.position])


def play(clock, players, seconds: int, *, speed: float = 1.0) -> None:
    """Let players play at the same time, each with a heartbeat every ten seconds of the clock."""
    for _ in range(seconds // 10):
        clock.shift(timedelta(seconds=10))
        for player in players:
            player.played(10 * speed)


def sums() -> tuple[int, int]:
    """Return the seconds that are counted and the seconds that earn, of all users and days."""
    watchtime.fold()
    row = WatchDaily.objects.aggregate(
        s=Sum("seconds", default=0), p=Sum("plan_seconds", default=0)
    )
    return row["s"], row["p"]


@pytest.mark.django_db
class TestOneClock:
    @pytest.mark.promise("one-clock-a-person")
    @pytest.mark.parametrize("videos", [1, 9])
    def test_nine_sessions_earn_what_one_does(
        self, viewer, make_video, subscribe, open_player, clock, client_for, admin, videos
    ):
        """Nine sessions of one subscriber at the same time, of one video or of nine, earn the seconds
        of the clock once; the counted seconds stay."""
        subscribe(viewer)
        titles = [make_video(price=1999, duration_seconds=600.0) for _ in range(videos)]
        players = [open_player(viewer, titles[number % videos]) for number in range(9)]
        play(clock, players, 60)
        assert sums() == (540, 60)
        answer = client_for(admin).post(f"{API}/payments/admin/pools/2026-08/close?dry_run=1")
        (pool,) = answer.data["pools"]
        assert pool["total_seconds"] == 60

    def test_who_reports_first_earns_the_moment(
        self, viewer, make_video, subscribe, open_player, clock
    ):
        subscribe(viewer)
        first, second = (make_video(price=1999, duration_seconds=600.0) for _ in range(2))
        late, early = open_player(viewer, second), open_player(viewer, first)
        clock.shift(timedelta(seconds=40))
        early.played(40)
        clock.shift(timedelta(seconds=5))
        late.played(45)
        assert sums() == (85, 45)
        assert WatchDaily.objects.get(video=first).plan_seconds == 40

    def test_sessions_that_overlap_in_part_earn_their_union(
        self, viewer, video, subscribe, open_player, clock
    ):
        subscribe(viewer)
        phone = open_player(viewer, video)
        play(clock, [phone], 30)
        watchtime.fold()
        television = open_player(viewer, video)
        play(clock, [phone, television], 30)
        watchtime.fold()
        play(clock, [television], 30)
        assert sums() == (120, 90)

    def test_sessions_one_after_another_earn_all(
        self, viewer, video, subscribe, open_player, clock
    ):
        subscribe(viewer)
        for _ in range(3):
            play(clock, [open_player(viewer, video)], 40)
        assert sums() == (120, 120)

    def test_people_have_clocks_of_their_own(
        self, viewer, make_user, video, subscribe, open_player, clock
    ):
        users = [viewer, make_user()]
        for user in users:
            subscribe(user)
        play(clock, [open_player(user, video) for user in users], 60)
        assert sums() == (120, 120)

    def test_a_bought_or_free_video_takes_nothing_from_the_clock(
        self, viewer, video, make_video, buy, subscribe, open_player, clock
    ):
        bought = make_video(price=500, duration_seconds=600.0)
        buy(viewer, bought)
        subscribe(viewer)
        titles = (bought, make_video(duration_seconds=600.0), video)
        play(clock, [open_player(viewer, title) for title in titles], 60)
        assert sums() == (180, 60)
        assert WatchDaily.objects.get(video=video).plan_seconds == 60

    @pytest.mark.promise("one-clock-a-person")
    def test_double_speed_is_not_earned_later(self, viewer, video, subscribe, open_player, clock):
        """What several sessions played at double speed is not earned while they are paused."""
        subscribe(viewer)
        players = [open_player(viewer, video) for _ in range(3)]
        play(clock, players, 60, speed=2.0)
        watchtime.fold()
        for player in players:
            clock.shift(timedelta(seconds=60))
            player.report(state="paused")
            watchtime.fold()
        assert sums()[1] == 60

    def test_what_was_not_delivered_takes_nothing_from_the_clock(
        self, viewer, video, subscribe, open_player, clock
    ):
        subscribe(viewer)
        starved = open_player(viewer, video, delivered=0)
        fed = open_player(viewer, video)
        play(clock, [starved, fed], 60)
        assert sums() == (60, 60)
        play(clock, [starved], 20)
        assert sums() == (60, 60)
        deliver(starved.pk)  # the delivery is recorded later than the heartbeats
        assert sums() == (140, 80)


@pytest.mark.django_db
class TestHeartbeatsInAnyOrder:
    @pytest.fixture
    def player(self, viewer, video, subscribe, open_player):
        subscribe(viewer)
        return open_player(viewer, video)

    def test_late_and_reordered_heartbeats_lose_nothing(self, player, clock):
        clock.shift(timedelta(seconds=18))
        player.report([0, 10])
        clock.shift(timedelta(seconds=2))
        player.report([10, 20])
        clock.shift(timedelta(seconds=20.5))
        player.report([30, 40])
        watchtime.fold()
        player.report([20, 30])
        assert sums() == (40, 40)

    def test_a_repeated_heartbeat_adds_nothing(self, player, clock):
        for _ in range(3):
            clock.shift(timedelta(seconds=40))
            player.report([0, 40])
            player.report([0, 40])
        assert sums() == (40, 40)

    def test_no_more_than_the_clock_and_one_interval(self, player, clock):
        """A pause is no credit, except for one interval between heartbeats."""
        clock.shift(timedelta(seconds=100))
        player.report(state="paused")
        clock.shift(timedelta(seconds=30))
        player.report([0, 60])
        assert sums()[1] == 40

    def test_after_a_silent_pause_the_seconds_are_those_before_the_report(
        self, player, viewer, video, open_player, clock
    ):
        play(clock, [player], 30)
        other = open_player(viewer, video)
        play(clock, [other], 300)
        watchtime.fold()
        clock.shift(timedelta(seconds=10))
        play(clock, [player], 30)
        assert sums() == (360, 360)


@pytest.mark.django_db
class TestMidnight:
    @pytest.mark.promise("one-clock-a-person")
    def test_seconds_count_for_the_day_on_which_they_were_played(
        self, viewer, video, subscribe, open_player, clock
    ):
        """At midnight (UTC) each second counts for its own day, also when it is added up later."""
        subscribe(viewer)
        clock.move_to(datetime(2026, 8, 31, 23, 59, 26, tzinfo=UTC))
        players = [open_player(viewer, video) for _ in range(3)]
        play(clock, players, 100)
        clock.shift(timedelta(hours=5))
        assert sums() == (300, 100)
        assert list(
            WatchDaily.objects.order_by("day").values_list("day", "seconds", "plan_seconds")
        ) == [(date(2026, 8, 31), 102, 34), (date(2026, 9, 1), 198, 66)]

    def test_seconds_of_a_closed_month_count_today(
        self, viewer, video, subscribe, open_player, clock
    ):
        subscribe(viewer)
        play(clock, [open_player(viewer, video)], 60)
        close(AUGUST)
        clock.move_to(datetime(2026, 9, 4, tzinfo=UTC))
        watchtime.fold()
        assert WatchDaily.objects.get().day == date(2026, 9, 4)
        assert pools.verify_month(AUGUST) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.promise("one-clock-a-person")
def test_workers_and_heartbeats_at_once_take_each_moment_once(
    viewer, make_video, subscribe, open_player, clock
):
    """Heartbeats of nine sessions and several workers at the same moment earn a moment once."""
    subscribe(viewer)
    titles = [make_video(price=1999, duration_seconds=600.0) for _ in range(3)]
    players = [open_player(viewer, titles[number % 3]) for number in range(9)]
    for _ in range(3):
        clock.shift(timedelta(seconds=20))
        together([lambda player=player: player.played(20) for player in players])
        together([watchtime.fold] * 4)
    assert sums() == (540, 60)
    assert total(WatchClock.objects.get().taken) == 60 * earning.SECOND


@pytest.mark.django_db(transaction=True)
def test_late_seconds_and_the_close_of_their_month_do_not_miss_each_other(
    viewer, make_user, video, subscribe, open_player, clock
):
    for user in (viewer, make_user()):
        subscribe(user)
        play(clock, [open_player(user, video)], 60)
    clock.move_to(datetime(2026, 9, 3, tzinfo=UTC))
    together([watchtime.fold, lambda: pools.close_month(AUGUST), watchtime.fold])
    assert pools.verify_month(AUGUST) == []
    assert sums() == (120, 120)


# --- the arithmetic ---------------------------------------------------------------------------

span = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], sum(pair)))
spans = st.lists(span, max_size=8)


def elements(intervals: list[Interval]) -> set[int]:
    return {second for start, end in intervals for second in range(int(start), int(end))}


@given(spans, spans)
def test_what_is_left_of_intervals(intervals, taken):
    left = without(intervals, taken)
    assert elements(left) == elements(intervals) - elements(taken)
    assert left == merge(left)
    assert total(left) == len(elements(left))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # which session reports
            st.floats(0, 30),  # after how many seconds
            st.floats(0, 60),  # how many seconds it reports
            st.booleans(),  # whether the moments are taken then
        ),
        max_size=60,
    )
)
def test_any_history_earns_at_most_its_clock(reports):
    """Moments lie inside of the session's time, and no two of a session overlap."""
    now = START
    sessions = [PlaybackSession(access="subscription", created_at=START) for _ in range(4)]
    taken: list[Interval] = []
    earned = 0.0
    for number, wait, seconds, is_taken in reports:
        now += timedelta(seconds=wait)
        session = sessions[number]
        for name, value in earning.place(session, seconds, now).items():
            setattr(session, name, value)
        session.last_heartbeat_at = now
        if is_taken:
            moments = [(a, b) for a, b in session.moments]
            assert moments == merge(moments)
            free = without(moments, taken)
            taken, session.moments = merge([*taken, *free]), []
            earned += total(free)
    first, last = (round(at.timestamp() * 1000) for at in (START, now))
    assert all(first <= start < end <= last for start, end in taken)
    assert earned == total(taken) <= last - first


def test_many_gaps_are_bounded_and_lose_no_second():
    session = PlaybackSession(access="subscription", created_at=START)
    now = START
    for _ in range(200):  # one second in each 15
        now += timedelta(seconds=15)
        for name, value in earning.place(session, 1, now).items():
            setattr(session, name, value)
        session.last_heartbeat_at = now
    assert len(session.moments) == earning.MOMENTS_MAX
    assert total(session.moments) == 200 * earning.SECOND


@pytest.mark.django_db
def test_the_clock_of_a_user_is_bounded(viewer):
    second = earning.SECOND
    for number in range(2 * earning.TAKEN_MAX):
        moments = [(20 * number * second, (20 * number + 1) * second)]
        assert earning.take(viewer.pk, moments) == moments
    taken = WatchClock.objects.get(user=viewer).taken
    assert len(taken) == earning.TAKEN_MAX
    assert earning.take(viewer.pk, [(5 * second, 6 * second)]) == []


@pytest.mark.django_db
def test_a_part_of_a_second_is_left_for_another_session(viewer):
    assert earning.take(viewer.pk, [(0, 4000)]) == [(0, 4000)]
    assert earning.take(viewer.pk, [(700, 4700)]) == []
    assert earning.take(viewer.pk, [(1400, 5400)]) == [(4000, 5000)]
    assert earning.take(viewer.pk, [(4500, 4900), (5600, 6700)]) == [(5600, 6600)]


def test_seconds_are_divided_at_midnight():
    midnight = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
    moments = [(midnight - 3400, midnight + 1600), (midnight + 86_400_000, midnight + 86_401_000)]
    assert earning.seconds_by_day(moments) == {
        date(2026, 8, 31): 3, date(2026, 9, 1): 2, date(2026, 9, 2): 1,
    }  # fmt: skip
