"""The dashboards: exact numbers of a small history with known dates."""

import csv
import io
import random
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts import backends
from accounts.roles import Role
from analytics.models import Reaction, VideoView
from analytics.rollups import folding
from analytics.tests import histories
from analytics.tests.kit import begin, report, view
from payments.models import JournalEntry, Order, Payment, Refund
from payments.services.settling import refunds
from payments.tests.kit import statements
from streaming import sessions
from streaming.models import PlaybackSession

pytestmark = pytest.mark.django_db

CREATOR, ADMIN = "/api/v1/analytics/creator", "/api/v1/analytics/admin"
MONDAY = datetime(2031, 5, 5, 10, 30, tzinfo=UTC)
MAY = {"from": "2031-05-01T00:00:00Z", "to": "2031-06-01T00:00:00Z"}
LAPTOP = sessions.Client("Laptop/1.0", "203.0.113.7")


def video_url(video) -> str:
    return f"/api/v1/analytics/videos/{video.pk}"


def happened(session: PlaybackSession, moment: datetime) -> None:
    PlaybackSession.objects.filter(pk=session.pk).update(created_at=moment)
    VideoView.objects.filter(session=session).update(at=moment)


@pytest.fixture
def history(make_user, make_video, creator, admin, buy, monkeypatch):
    """Two videos of a creator and one of a stranger, on Monday, Tuesday and the Monday after."""
    paid = make_video(creator=creator, price=1999, title="Paid")
    free = make_video(creator=creator, title="Free")
    foreign = make_video(price=500, title="Foreign")
    ann, bob = make_user(), make_user()

    def at(moment):
        for place in ("payments.services.settling.facts", "analytics.counting"):
            monkeypatch.setattr(f"{place}.timezone.now", lambda: moment)

    at(MONDAY)
    order = buy(ann, paid)
    buy(bob, foreign)
    monkeypatch.undo()
    tuesday, later = MONDAY + timedelta(days=1), MONDAY + timedelta(days=7)
    happened(view(ann, paid, seconds=30.0), MONDAY)
    happened(view(ann, free, seconds=20.0), MONDAY + timedelta(hours=1))
    happened(view(bob, free, seconds=60.0), tuesday)
    happened(view(None, free, seconds=15.0, client=LAPTOP), tuesday)
    happened(view(ann, free, seconds=10.0), later)
    happened(begin_short(bob, free), later)
    happened(view(creator, paid, seconds=50.0), MONDAY)  # never counts
    happened(view(bob, foreign, seconds=40.0), MONDAY)
    for user, video, value in ((ann, paid, "like"), (ann, free, "like"), (bob, free, "dislike")):
        Reaction.objects.create(user=user, video=video, value=value, at=tuesday)
    at(tuesday)
    refunds.refund_order(order_id=order.pk, amount=500, reason="", actor=admin)
    monkeypatch.undo()
    return {"paid": paid, "free": free, "foreign": foreign, "ann": ann, "bob": bob}


def begin_short(user, video) -> PlaybackSession:
    """Watch three seconds, too few for a view."""
    session = begin(user, video)
    report(session, (0.0, 3.0))
    return session


def test_the_history_has_the_dates_that_the_reports_need(history):
    assert set(Order.objects.values_list("paid_at", flat=True)) == {MONDAY}
    assert set(Payment.objects.values_list("captured_at", flat=True)) == {MONDAY}
    assert Refund.objects.get().counted_at == MONDAY + timedelta(days=1)
    assert JournalEntry.objects.filter(effective_at=MONDAY).count() == 2


def test_a_creators_dashboard(client_for, creator, history):
    data = client_for(creator).get(CREATOR, MAY).json()

    assert (data["from"], data["to"], data["interval"]) == (MAY["from"], MAY["to"], "day")
    assert data["totals"] == {
        "views": 4,
        "unique_viewers": 3,
        "watch_seconds": 138.0,
        "likes": 2,
        "dislikes": 1,
        "purchases": 1,
        "gross": [{"currency": "USD", "amount": "19.99"}],
        "refunds": [{"currency": "USD", "amount": "5.00"}],
        "disputes": [{"currency": "USD", "amount": "0.00"}],
        "creator_share": [{"currency": "USD", "amount": "12.00"}],
        "platform_share": [{"currency": "USD", "amount": "2.99"}],
        "promotions": [{"currency": "USD", "amount": "0.00"}],
        "losses": [{"currency": "USD", "amount": "0.00"}],
        "waiting": [{"currency": "USD", "amount": "0.00"}],
        "earnings": [{"currency": "USD", "amount": "12.00"}],
    }
    assert data["series"] == [
        {
            "bucket": "2031-05-05T00:00:00Z",
            "views": 2,
            "unique_viewers": 1,
            "sessions": 2,
            "watch_seconds": 50.0,
        },
        {
            "bucket": "2031-05-06T00:00:00Z",
            "views": 2,
            "unique_viewers": 2,
            "sessions": 2,
            "watch_seconds": 75.0,
        },
        {
            "bucket": "2031-05-12T00:00:00Z",
            "views": 0,
            "unique_viewers": 0,
            "sessions": 2,
            "watch_seconds": 13.0,
        },
    ]
    rows = [
        (row["title"], row["views"], row["unique_viewers"], row["watch_seconds"], row["purchases"])
        for row in data["videos"]
    ]
    assert rows == [("Free", 3, 3, 108.0, 0), ("Paid", 1, 1, 30.0, 1)]


def test_the_reactions_of_a_video_are_those_of_the_period(client_for, creator, admin, history):
    for client, url in ((client_for(creator), CREATOR), (client_for(admin), ADMIN)):
        for end, likes in (("2031-05-06T10:00:00Z", 0), ("2031-05-07T00:00:00Z", 2)):
            data = client.get(url, {"from": MAY["from"], "to": end}).json()
            assert data["totals"]["likes"] == sum(row["likes"] for row in data["videos"]) == likes


def test_one_video_of_the_dashboard(client_for, creator, history):
    for name, views, watched, gross, earned in [
        ("paid", 1, 30.0, ["19.99"], ["12.00"]),
        ("free", 3, 108.0, [], []),
    ]:
        video = history[name]
        data = client_for(creator).get(CREATOR, {**MAY, "video": video.pk}).json()
        totals = data["totals"]
        assert (totals["views"], totals["watch_seconds"]) == (views, watched)
        assert [row["amount"] for row in totals["gross"]] == gross
        assert [row["amount"] for row in totals["earnings"]] == earned
        assert [row["id"] for row in data["videos"]] == [str(video.pk)]


@pytest.mark.parametrize(
    ("interval", "buckets"),
    [
        (
            "hour",
            {
                "2031-05-05T10:00:00Z": 1,
                "2031-05-05T11:00:00Z": 1,
                "2031-05-06T10:00:00Z": 2,
                "2031-05-12T10:00:00Z": 0,
            },
        ),
        ("day", {"2031-05-05T00:00:00Z": 2, "2031-05-06T00:00:00Z": 2, "2031-05-12T00:00:00Z": 0}),
        ("week", {"2031-05-05T00:00:00Z": 4, "2031-05-12T00:00:00Z": 0}),
        ("month", {"2031-05-01T00:00:00Z": 4}),
    ],
)
def test_intervals(client_for, creator, history, interval, buckets):
    data = client_for(creator).get(CREATOR, {**MAY, "interval": interval}).json()
    assert {row["bucket"]: row["views"] for row in data["series"]} == buckets
    assert sum(row["watch_seconds"] for row in data["series"]) == 138.0


def test_a_time_begins_at_from_and_ends_before_to(client_for, creator, history):
    tuesday = MONDAY + timedelta(days=1)
    data = (
        client_for(creator)
        .get(CREATOR, {"from": MONDAY.isoformat(), "to": tuesday.isoformat()})
        .json()
    )
    totals = data["totals"]
    assert (totals["views"], totals["purchases"], totals["likes"]) == (2, 1, 0)
    assert totals["earnings"] == [{"currency": "USD", "amount": "16.00"}]


def test_the_platforms_dashboard(client_for, admin, history, subscribe, make_user):
    subscribe(make_user())  # today, not in May 2031
    data = client_for(admin).get(ADMIN, MAY).json()
    totals = data["totals"]
    assert (totals["views"], totals["unique_viewers"]) == (5, 3)
    assert (totals["watch_seconds"], totals["purchases"]) == (178.0, 2)
    assert totals["gross"] == [{"currency": "USD", "amount": "24.99"}]
    assert data["revenue"] == [
        {
            "currency": "USD",
            "gross": "24.99",
            "refunds": "5.00",
            "disputes": "0.00",
            "creator_share": "16.00",
            "platform_share": "3.99",
        }
    ]
    assert totals["earnings"] == [{"currency": "USD", "amount": "3.99"}]
    assert data["active_subscriptions"] == 1
    assert [row["title"] for row in data["videos"]] == ["Free", "Foreign", "Paid"]
    assert [(row["views"], row["unique_viewers"]) for row in data["top_creators"]] == [
        (4, 3),
        (1, 1),
    ]
    assert data["top_creators"][0]["id"] == str(history["free"].creator_id)
    assert data["processing_queue"] == {"queued": 0, "running": 0, "failed_films": 0}


def test_one_video_of_the_platform(client_for, admin, history):
    video = history["foreign"]
    data = client_for(admin).get(ADMIN, {**MAY, "video": video.pk}).json()
    assert data["totals"]["views"] == 1
    assert [row["gross"] for row in data["revenue"]] == ["5.00"]
    assert [row["creator_share"] for row in data["revenue"]] == ["4.00"]


def test_the_queue_is_shown(client_for, admin, uploaded_video, make_video):
    make_video(status="FAILED")
    queue = client_for(admin).get(ADMIN).data["processing_queue"]
    assert queue == {"queued": 1, "running": 0, "failed_films": 1}


def test_a_videos_numbers(client_for, creator, history):
    free = history["free"]
    last = PlaybackSession.objects.filter(video=free).latest("created_at")
    report(last, rebuffer_ms=540, startup_ms=400)
    data = client_for(creator).get(video_url(free), MAY).json()

    assert data["totals"]["views"] == 3
    assert data["totals"]["earnings"] == []
    assert (len(data["series"]), data["interval"]) == (3, "day")
    curve = {row["second"]: row["viewers"] for row in data["retention"]}
    assert len(curve) == 60
    assert [curve[second] for second in (0, 2, 3, 9, 10, 14, 15, 19, 20, 59)] == [
        5, 5, 4, 4, 3, 3, 2, 2, 1, 1,
    ]  # fmt: skip
    assert data["quality"] == {
        "sessions": 5,
        "startup_ms": 400,
        "rebuffer_ms": 540,
        "rebuffer_ratio": 0.005,
    }
    steps = data["quality_series"]
    assert [row["bucket"] for row in steps] == [row["bucket"] for row in data["series"]]
    assert sum(row["sessions"] for row in steps) == 5
    assert [row["startup_ms"] for row in steps] == [None, None, 400]
    assert [row["rebuffer_ms"] for row in steps] == [0, 0, 540]
    assert steps[0]["rebuffer_ratio"] == 0.0 < data["quality"]["rebuffer_ratio"]
    assert steps[2]["rebuffer_ratio"] > data["quality"]["rebuffer_ratio"]
    paid = client_for(creator).get(video_url(history["paid"]), MAY).json()
    assert paid["totals"]["earnings"] == [{"currency": "USD", "amount": "12.00"}]
    assert paid["totals"]["gross"] == [{"currency": "USD", "amount": "19.99"}]


def test_the_curve_of_a_long_video_has_two_hundred_points(client_for, viewer, make_video):
    video = make_video(duration_seconds=3600.0)
    view(viewer, video, seconds=18.0)
    curve = client_for(video.creator).get(video_url(video)).json()["retention"]
    assert len(curve) == 200
    assert [(row["second"], row["viewers"]) for row in curve[:3]] == [(0, 1), (18, 0), (36, 0)]


def test_other_users_see_no_numbers_of_a_creator(
    client_for, creator, viewer, make_user, make_video, history
):
    stranger = make_user(Role.CREATOR)
    empty = client_for(stranger).get(CREATOR, MAY).json()
    assert (empty["totals"]["views"], empty["videos"], empty["series"]) == (0, [], [])
    probe = client_for(stranger).get(CREATOR, {**MAY, "video": history["paid"].pk}).json()
    assert (probe["totals"]["views"], probe["videos"]) == (0, [])
    assert probe["totals"]["earnings"] == probe["totals"]["gross"] == []
    asked = client_for(stranger).get(CREATOR, {**MAY, "creator": creator.pk}).json()
    assert (asked["totals"]["views"], asked["videos"], asked["series"]) == (0, [], [])
    private = make_video(creator=creator, visibility="private")
    for user, url, expected in [
        (stranger, video_url(history["paid"]), 403),
        (stranger, video_url(private), 404),
        (stranger, ADMIN, 403),
        (creator, ADMIN, 403),
        (viewer, CREATOR, 403),
        (viewer, video_url(history["free"]), 403),
        (None, CREATOR, 401),
        (None, ADMIN, 401),
        (None, video_url(history["free"]), 401),
    ]:
        answer = client_for(user).get(url)
        assert answer.status_code == expected, url
        assert set(answer.data) == {"type", "errors"}


def test_administrators_see_every_dashboard(client_for, admin, creator, history):
    mine = client_for(creator).get(CREATOR, MAY).json()
    assert client_for(creator).get(CREATOR, {**MAY, "creator": creator.pk}).json() == mine
    assert client_for(admin).get(CREATOR, {**MAY, "creator": creator.pk}).json() == mine
    assert client_for(admin).get(video_url(history["paid"]), MAY).status_code == 200


def test_reports_name_no_viewer(client_for, creator, history):
    for url in (CREATOR, video_url(history["free"])):
        text = client_for(creator).get(url, MAY).content.decode()
        for secret in (history["ann"].email, history["ann"].pk.hex, "203.0.113", "anon:"):
            assert secret not in text


@pytest.mark.parametrize("name", ["creator", "admin", "video"])
def test_every_report_has_its_series_as_csv(client_for, admin, creator, history, name):
    url = {"creator": CREATOR, "admin": ADMIN, "video": video_url(history["free"])}[name]
    client = client_for(admin if name == "admin" else creator)
    answer = client.get(url, {**MAY, "format": "csv"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.getvalue().decode())))
    assert rows[0] == ["bucket", "views", "unique_viewers", "sessions", "watch_seconds"]
    series = client.get(url, MAY).json()["series"]
    assert rows[1:] == [[str(value) for value in row.values()] for row in series]
    assert rows[1][0] == "2031-05-05T00:00:00Z"


@pytest.mark.parametrize(
    "query",
    [
        {"from": "soon"},
        {"interval": "century"},
        {"video": "1"},
        {"creator": "me"},
        {"format": "xml"},
        {"from": MAY["to"], "to": MAY["from"]},
        {"from": "2001-01-01T00:00:00Z", "interval": "hour"},
        {"to": "0001-01-01T00:00:00Z"},
    ],
)
def test_a_bad_query_is_refused(client_for, creator, query):
    assert client_for(creator).get(CREATOR, query).status_code == 400


@pytest.mark.parametrize("is_folded", [False, True])
@pytest.mark.parametrize("videos", [1, 12])
def test_dashboards_cost_the_same_for_any_number_of_videos(
    client_for, admin, creator, viewer, make_video, buy, settings, monkeypatch, videos, is_folded
):
    """At most twelve statements, also with the period before, from raw rows and from roll-ups."""
    settings.AUDIT_READS = False
    monkeypatch.setattr(backends, "ROLE_CACHE_SECONDS", 3600.0)  # however slow the machine is
    made = [make_video(creator=creator, price=100 + number) for number in range(videos)]
    for video in made:
        buy(viewer, video)
        view(viewer, video)
    if is_folded:
        now, dice = timezone.now(), random.Random(videos)  # noqa: S311 - repeatable
        histories.make(made, now - timedelta(days=65), now, 50, dice)
        while folding.in_worker():
            pass
    urls = [CREATOR, ADMIN, video_url(made[0])]
    for url, cost in zip(urls, (10, 12, 11) if is_folded else (9, 11, 10), strict=True):
        client = client_for(admin if url == ADMIN else creator)
        client.get(url)
        with statements(exactly=cost):
            assert client.get(url).status_code == 200
        with statements(exactly=cost):
            assert client.get(url, {"compare": "previous", "tz": "Asia/Tokyo"}).status_code == 200
