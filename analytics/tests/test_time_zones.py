"""Reports in time zones against a recount of the same events, days of clock changes among them."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F

from accounts.roles import Role
from analytics import steps
from analytics.rollups import folding, pruning
from analytics.rollups.models import RollupDay
from analytics.tests import histories
from config.tests import cases
from streaming.models import PlaybackSession

pytestmark = pytest.mark.django_db

CREATOR, ADMIN = "/api/v1/analytics/creator", "/api/v1/analytics/admin"
# A zone, and a moment near which its clock changes: by an hour, at midnight, or by half an hour.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-11-01"),
    ("America/Havana", "2026-11-01"),
    ("America/Santiago", "2026-09-06"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Asia/Kolkata", "2026-06-01"),
    ("Asia/Kathmandu", "2026-06-01"),
    ("UTC", "2026-06-01"),
]


def seen(rows: list[dict]) -> dict[datetime | None, tuple]:
    names = ("views", "unique_viewers", "sessions", "watch_seconds")
    return {
        datetime.fromisoformat(row["bucket"]).astimezone(UTC): tuple(row[name] for name in names)
        for row in rows
    }


def _folded(share: float, dice: random.Random) -> None:
    """Add a share of the finished days up."""
    folding.prepare()
    for day in RollupDay.objects.filter(folded_at=None).values_list("day", flat=True):
        if dice.random() < share:
            assert folding.fold(day)


def _pruned(before: datetime) -> None:
    """Prune the days before a moment's, as a service does that has folded them long ago."""
    RollupDay.objects.update(folded_at=F("folded_at") - timedelta(days=1))
    assert pruning.prune(before.date()) > 0
    assert not PlaybackSession.objects.filter(created_at__lt=before - timedelta(days=1)).exists()


@pytest.mark.long
@pytest.mark.twice
@pytest.mark.parametrize(("name", "day"), cases.by_database(CHANGES))
def test_reports_agree_with_a_recount(client_for, admin, make_user, make_video, name, day):
    """Of the raw rows, of days in the roll-ups here and there, of all in them, and of pruned days."""
    zone, middle = ZoneInfo(name), datetime.fromisoformat(day).replace(tzinfo=UTC)
    creators = [make_user(Role.CREATOR) for _ in range(2)]
    videos = [make_video(creator=each) for each in creators for _ in range(2)]
    dice = random.Random(f"{name} {day}")  # noqa: S311 - repeatable
    histories.make(videos, middle - timedelta(days=9), middle + timedelta(days=9), 300, dice)
    start = middle - timedelta(days=dice.choice([3, 8]), minutes=dice.choice([0, 15, 217]))
    end = middle + timedelta(days=4)
    # Of pruned days, a quarter hour counts if its begin lies in the period.
    quarter = start + (datetime.min.replace(tzinfo=UTC) - start) % timedelta(minutes=15)
    asked = [
        (user, address, of, interval, begin)
        for begin in {start, quarter}
        for interval in steps.TRUNC
        for user, address, of in [
            (admin, ADMIN, videos),
            (creators[0], CREATOR, videos[:2]),
            (creators[0], f"/api/v1/analytics/videos/{videos[0].pk}", videos[:1]),
        ]
    ]
    expected = [
        histories.recount(of, begin, end, interval, zone) for _, _, of, interval, begin in asked
    ]

    def compare(state: str, begins: set[datetime]) -> list[dict]:
        answers = []
        for (user, address, _, interval, begin), counted in zip(asked, expected, strict=True):
            if begin not in begins:
                continue
            query = {"from": begin.isoformat(), "to": end.isoformat(), "tz": name}
            data = client_for(user).get(address, {**query, "interval": interval}).json()
            _agree(data, dict(counted), (state, address, interval, begin))
            answers.append(data)
        return answers

    raw = compare("raw", {start, quarter})
    _folded(0.5, dice)
    assert compare("partly folded", {start, quarter}) == raw
    _folded(1.0, dice)
    assert compare("folded", {start, quarter}) == raw
    before = [data for data, (*_, begin) in zip(raw, asked, strict=True) if begin == quarter]
    _pruned(middle + timedelta(days=dice.choice([-1, 2])))
    after = compare("pruned", {quarter})
    for data in (*before, *after):
        data.pop("retention", None)  # of a pruned day that the period cuts, the whole day counts
    assert after == before


def _agree(data: dict, counted: dict, place: tuple) -> None:
    whole = counted.pop(None)
    found = seen(data["series"])
    assert found.keys() == counted.keys(), place
    for moment, row in counted.items():
        assert found[moment][:3] == row[:3], (*place, moment)
        assert found[moment][3] == pytest.approx(row[3], abs=0.11)
    totals = data["totals"]
    assert (totals["views"], totals["unique_viewers"]) == whole[:2], place
    assert totals["watch_seconds"] == pytest.approx(whole[3], abs=0.11)
    assert sum(row["sessions"] for row in data["sources"]) == whole[2]
    if "videos" in data:
        assert sum(row["views"] for row in data["videos"]) == whole[0]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_a_day_has_as_many_hours_as_the_clock_shows(client_for, creator, make_video, day, hours):
    video, zone = make_video(creator=creator), ZoneInfo("Europe/Berlin")
    midnight = datetime.fromisoformat(day).replace(tzinfo=zone)
    after = (midnight + timedelta(days=1)).astimezone(UTC)
    moment, made = midnight.astimezone(UTC), 0
    while moment < after:
        dice = random.Random(made)  # noqa: S311 - repeatable
        histories.make([video], moment, moment + timedelta(seconds=1), 8, dice)
        moment, made = moment + timedelta(hours=1), made + 1
    assert made == hours
    end = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
    query = {"from": day, "to": end, "tz": "Europe/Berlin"}
    data = client_for(creator).get(CREATOR, {**query, "interval": "hour"}).json()
    assert data["from"] == midnight.isoformat()
    assert data["tz"] == "Europe/Berlin"
    assert len(data["series"]) == hours
    (bucket,) = [
        row for row in client_for(creator).get(CREATOR, query).json()["series"] if row["sessions"]
    ]
    assert bucket["bucket"] == midnight.isoformat()


def test_the_period_before_is_as_long_on_the_clock(client_for, creator, make_video):
    video = make_video(creator=creator)
    begin, dice = datetime(2026, 3, 15, tzinfo=UTC), random.Random(7)  # noqa: S311 - repeatable
    histories.make([video], begin, begin + timedelta(days=30), 200, dice)
    query = {
        "from": "2026-03-30", "to": "2026-04-06", "tz": "Europe/Berlin", "compare": "previous",
    }  # fmt: skip
    data = client_for(creator).get(CREATOR, query).json()
    comparison = data["comparison"]
    assert comparison["begins_at"] == "2026-03-23T00:00:00+01:00"
    assert comparison["ends_at"] == data["from"] == "2026-03-30T00:00:00+02:00"
    earlier = client_for(creator).get(
        CREATOR, {"from": "2026-03-23", "to": "2026-03-30", "tz": "Europe/Berlin"}
    )
    assert comparison["totals"] == earlier.json()["totals"]
    before, now = comparison["totals"]["views"], data["totals"]["views"]
    assert comparison["change"]["views"] == round((now - before) / before * 100, 1)
    assert comparison["change"]["purchases"] is None
    assert client_for(creator).get(CREATOR).json()["comparison"] is None


@pytest.mark.parametrize(
    ("query", "attribute"),
    [
        ({"tz": "Mars/Olympus"}, "tz"),
        ({"tz": "../etc/passwd"}, "tz"),
        ({"tz": "America"}, "tz"),
        (
            {"tz": "Europe/Berlin", "from": "1999-01-01", "to": "2026-01-01", "interval": "month"},
            "tz",
        ),
        ({"tz": "Asia/Tokyo", "to": "9999-12-31T23:59:59Z", "from": "9999-12-01"}, "from"),
        ({"compare": "year"}, "compare"),
        ({"compare": "previous", "interval": "month", "from": "0002-01-01"}, "from"),
        ({"country": "DE"}, "country"),
        ({"Video": "1"}, "Video"),
    ],
)
def test_a_bad_query_is_refused_and_names_what_is_bad(client_for, creator, query, attribute):
    answer = client_for(creator).get(CREATOR, query)
    assert answer.status_code == 400
    assert [error["attr"] for error in answer.json()["errors"]] == [attribute]


def test_a_filter_of_another_report_is_refused(client_for, admin, make_video):
    video = make_video()
    for address, name in [
        (ADMIN, "creator"),
        (f"/api/v1/analytics/videos/{video.pk}", "video"),
        (f"/api/v1/analytics/videos/{video.pk}", "creator"),
    ]:
        answer = client_for(admin).get(address, {name: str(video.pk)})
        assert answer.status_code == 400, (address, name)
        assert [error["attr"] for error in answer.json()["errors"]] == [name]


def test_late_events_change_their_own_step_alone(client_for, creator, make_video):
    video, begin = make_video(creator=creator), datetime(2026, 6, 1, tzinfo=UTC)
    dice = random.Random(11)  # noqa: S311 - repeatable
    histories.make([video], begin, begin + timedelta(days=20), 200, dice)
    query = {"from": "2026-06-01", "to": "2026-06-22", "tz": "America/New_York"}
    before = seen(client_for(creator).get(CREATOR, query).json()["series"])
    late = datetime(2026, 6, 6, 3, 30, tzinfo=UTC)  # still the fifth of June in New York
    histories.make([video], late, late + timedelta(minutes=1), 40, dice)
    after = seen(client_for(creator).get(CREATOR, query).json()["series"])
    changed = {moment for moment in after if after[moment] != before[moment]}
    # A view is counted up to two hours after its session began.
    own, next_day = (datetime(2026, 6, day, 4, tzinfo=UTC) for day in (5, 6))
    assert own in changed <= {own, next_day}
    assert after.keys() == before.keys()


def test_a_series_in_a_zone_as_csv(client_for, creator, make_video):
    dice = random.Random(1)  # noqa: S311 - repeatable
    begin = datetime(2026, 6, 1, tzinfo=UTC)
    histories.make([make_video(creator=creator)], begin, begin + timedelta(days=2), 30, dice)
    query = {"from": "2026-06-01", "to": "2026-06-04", "tz": "Asia/Kolkata"}
    rows = client_for(creator).get(CREATOR, {**query, "format": "csv"}).getvalue().decode()
    series = client_for(creator).get(CREATOR, query).json()["series"]
    assert [line.split(",")[0] for line in rows.splitlines()[1:]] == [
        row["bucket"] for row in series
    ]
    assert series[0]["bucket"] == "2026-06-01T00:00:00+05:30"
