"""Roll-ups of months: the same figures with fewer rows, whatever arrives late, in every time zone."""

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.roles import Role
from analytics.models import VideoView
from analytics.rollups import folding, months, pruning
from analytics.rollups.cells import Playback, gather, pack, unpack
from analytics.rollups.models import Rollup, RollupDay, RollupMonth
from analytics.steps import TRUNC
from analytics.tests import histories
from config.tests import cases
from streaming.models import PlaybackSession
from videos.models import Video

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
BEGIN, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
CREATOR, ADMIN = "/api/v1/analytics/creator", "/api/v1/analytics/admin"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Let a round of the worker last as long as it must: these tests run on slow machines too."""
    monkeypatch.setattr(folding, "SECONDS_OF_ROUND", 600.0)
    # The playback of these tests lies in March and April.
    monkeypatch.setattr(folding, "finished_before", lambda now=None: date(2026, 5, 10))


@pytest.fixture
def videos(make_user, make_video) -> list[Video]:
    """Two creators with two videos each, played in March and April."""
    creators = [make_user(Role.CREATOR) for _ in range(2)]
    made = [make_video(creator=each) for each in creators for _ in range(2)]
    # The first day has playback, so that March is known from its begin on.
    histories.make(made, BEGIN, BEGIN + DAY, 20, random.Random(1))  # noqa: S311 - repeatable
    histories.make(made, BEGIN, END, 200, random.Random(2))  # noqa: S311 - repeatable
    return made


@pytest.fixture
def figures(client_for, admin, videos):
    """Return a function that gives every report over the history with the period before."""

    addresses: list[tuple[str, dict[str, str]]] = [
        (ADMIN, {}),
        (ADMIN, {"video": str(videos[0].pk)}),
        (f"/api/v1/analytics/videos/{videos[0].pk}", {}),
        (CREATOR, {"creator": str(videos[1].creator_id)}),
        (CREATOR, {"creator": str(videos[2].creator_id)}),
        (CREATOR, {"creator": str(videos[0].creator_id), "video": str(videos[0].pk)}),
    ]

    def ask(zone: str = "Asia/Kolkata", **more: str) -> list[dict]:
        client = client_for(admin)
        query = {"from": "2026-03-01T00:00:00Z", "to": "2026-05-03T00:00:00Z", "tz": zone, **more}
        answers = [client.get(address, {**query, **of}).json() for address, of in addresses]
        assert all(answer["totals"]["views"] for answer in answers)
        return answers

    return ask


def fold_all() -> None:
    while folding.in_worker():
        pass


def stored() -> list[tuple]:
    names = [field.name for field in RollupMonth._meta.fields if field.name != "id"]
    rows = RollupMonth.objects.order_by("month", "kind", "ref").values_list(*names)
    return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows]


def test_a_report_reads_months_in_place_of_their_days(figures):
    expected = figures()
    fold_all()
    assert set(RollupMonth.objects.values_list("month", flat=True)) == {MARCH, APRIL}
    assert RollupMonth.objects.count() == 2 * (2 + 4)  # creators and videos
    assert figures() == expected
    # Of the days of these months, only those that a series needs are read.
    Rollup.objects.filter(kind="video", day__lt=END.date()).update(views=0, watch_ms=0)
    platform, *_ = figures()
    assert platform["videos"] == expected[0]["videos"]
    RollupMonth.objects.filter(kind="creator").update(views=7)
    assert {row["views"] for row in figures()[0]["top_creators"]} == {14}


def test_a_period_with_parts_of_months_counts_their_days(figures):
    more = {"from": "2026-03-02T05:00:00Z", "to": "2026-04-20T17:10:00Z", "compare": "previous"}
    expected = [figures(interval=interval, **more) for interval in ("day", "month")]
    fold_all()
    assert [figures(interval=interval, **more) for interval in ("day", "month")] == expected


def test_a_late_row_takes_its_day_out_of_the_month_until_it_is_added_up(figures, videos):
    fold_all()
    before, first = stored(), figures()
    late = BEGIN + 12 * DAY
    histories.make(videos, late, late + timedelta(minutes=1), 40, random.Random(3))  # noqa: S311
    folding.mark([late.date()])
    assert RollupDay.objects.get(in_month=False, day__lt=END.date()).day == late.date()
    assert stored() == before  # not read any more
    expected = figures()
    assert expected != first
    assert folding.fold(late.date())
    assert figures() == expected
    fold_all()
    assert stored() != before
    assert not RollupDay.objects.filter(in_month=False, day__lt=END.date()).exists()
    assert figures() == expected


def test_a_month_is_not_stored_when_one_of_its_days_changes_meanwhile(videos, monkeypatch):
    while folding.in_worker():
        pass
    before, made = stored(), months.rollups_of
    folding.mark([MARCH])
    folding.fold(MARCH)

    def changed(month: date) -> list[RollupMonth]:
        rows = made(month)
        folding.mark([MARCH + DAY])
        return rows

    monkeypatch.setattr(months, "rollups_of", changed)
    assert months.fold(MARCH) is False
    assert stored() == before
    days = RollupDay.objects.filter(in_month=False, day__lt=APRIL)
    assert set(days.values_list("day", flat=True)) == {MARCH, MARCH + DAY}


def test_a_month_with_a_day_that_is_not_added_up_has_no_roll_ups(videos):
    folding.prepare()
    for day in RollupDay.objects.exclude(day=MARCH + 3 * DAY).values_list("day", flat=True):
        assert folding.fold(day)
    assert months.fold(MARCH) is False
    assert months.in_worker(0.0) == 1
    assert set(RollupMonth.objects.values_list("month", flat=True)) == {APRIL}
    assert folding.fold(MARCH + 3 * DAY)
    assert months.in_worker(0.0) == 1
    assert months.in_worker(0.0) == 0
    assert set(RollupMonth.objects.values_list("month", flat=True)) == {MARCH, APRIL}


def test_rebuilding_finds_and_mends_a_wrong_month(figures, capsys):
    fold_all()
    before, expected = stored(), figures()
    wrong = RollupMonth.objects.filter(kind="video", month=MARCH)[0]
    RollupMonth.objects.filter(pk=wrong.pk).update(views=99)
    with pytest.raises(CommandError, match="1 roll-ups differ"):
        call_command("rebuild_rollups", check=True)
    said = capsys.readouterr().out
    assert f"{MARCH} month of video {wrong.ref}: views: stored 99, found {wrong.views}" in said
    assert RollupMonth.objects.get(pk=wrong.pk).views == 99
    call_command("rebuild_rollups")
    assert stored() == before
    assert figures() == expected
    # A wrong day is mended together with its month.
    Rollup.objects.filter(kind="video", day=MARCH + DAY).update(views=50)
    call_command("rebuild_rollups")
    assert stored() == before
    call_command("rebuild_rollups", check=True)


def test_pruning_changes_no_figure_of_a_month(figures):
    fold_all()
    expected, before = figures(zone="UTC"), stored()
    RollupDay.objects.update(folded_at=timezone.now() - DAY)
    assert pruning.prune(date(2026, 4, 20)) > 0
    assert PlaybackSession.objects.count() < 100
    assert figures(zone="UTC") == expected
    assert stored() == before


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_a_day_are_what_its_quarters_are(seed):
    dice = random.Random(seed)  # noqa: S311 - repeatable
    quarters: dict[int, Playback] = {}
    for number in dice.sample(range(96), dice.choice([0, 1, 7, 60, 96])):
        cell = quarters[number] = Playback(views=dice.randrange(4))
        cell.viewers.update(dice.randrange(200_000) for _ in range(cell.views))
        for access in dice.sample(["free", "order", "subscription"], dice.randrange(4)):
            cell.play(access, [dice.randrange(1000) for _ in range(7)])
    packed = pack(quarters)
    bounds = sorted(dice.sample(range(97), dice.choice([2, 3, 5, 24])))
    parts = list(pairwise(bounds))
    if len(parts) > 3:
        del parts[1]
    expected = []
    for first, after in parts:
        expected.append(Playback())
        for number, cell in unpack(packed):
            if first <= number < after:
                expected[-1].merge(cell)
    assert gather(packed, parts) == expected


@pytest.mark.long
@pytest.mark.twice
@pytest.mark.parametrize(
    ("zone", "seed"),
    cases.by_database(
        [("Asia/Kolkata", 1), ("America/New_York", 2), ("Australia/Lord_Howe", 3), ("UTC", 4)]
    ),
)
def test_reports_over_months_agree_with_a_recount(client_for, admin, videos, zone, seed):
    """Of the raw rows, of days in the roll-ups here and there, of months, and after late rows."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    client, start = client_for(admin), BEGIN - timedelta(minutes=dice.randrange(2000))
    end = END + timedelta(minutes=dice.randrange(2000))

    def compare(state: str) -> None:
        for interval in [each for each in TRUNC if each != "hour"]:
            query = {"from": start.isoformat(), "to": end.isoformat(), "tz": zone}
            data = client.get(ADMIN, {**query, "interval": interval}).json()
            counted = histories.recount(videos, start, end, interval, ZoneInfo(zone))
            views, unique, sessions, _ = counted.pop(None)
            assert (data["totals"]["views"], data["totals"]["unique_viewers"]) == (views, unique), (
                state
            )
            assert sum(row["sessions"] for row in data["series"]) == sessions, state
            seen = {
                datetime.fromisoformat(row["bucket"]).astimezone(UTC): (
                    row["views"], row["unique_viewers"], row["sessions"],
                )
                for row in data["series"]
            }  # fmt: skip
            assert seen == {moment: row[:3] for moment, row in counted.items()}, (state, interval)
            _agree_by_video(data, videos, start, end, state)

    compare("raw")
    folding.prepare()
    for day in RollupDay.objects.values_list("day", flat=True):
        if dice.random() < 0.6:
            folding.fold(day)
    compare("partly folded")
    fold_all()
    assert RollupMonth.objects.exists()
    compare("months")
    late = BEGIN + dice.randrange(50) * DAY
    histories.make(videos, late, late + timedelta(hours=1), 30, dice)
    folding.mark([late.date(), late.date() + DAY])
    compare("late")
    fold_all()
    compare("late and folded")


def _agree_by_video(data: dict, videos: list[Video], start: datetime, end: datetime, state: str):
    by_video = {row["id"]: (row["views"], row["unique_viewers"]) for row in data["videos"]}
    for video in videos:
        views = VideoView.objects.filter(video=video, at__gte=start, at__lt=end)
        keys = set(views.values_list("viewer_key", flat=True))
        assert by_video[str(video.pk)] == (views.count(), len(keys)), state
    for row in data["top_creators"]:
        views = VideoView.objects.filter(creator=row["id"], at__gte=start, at__lt=end)
        keys = set(views.values_list("viewer_key", flat=True))
        assert (row["views"], row["unique_viewers"]) == (views.count(), len(keys)), state
