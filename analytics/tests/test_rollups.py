"""Roll-ups: added up once, safe to repeat and to kill, followed by late playback, pruned and rebuilt."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts.roles import Role
from analytics import seeding
from analytics.models import VideoView
from analytics.rollups import folding, pruning
from analytics.rollups.models import Rollup, RollupDay, ViewerNumber
from analytics.tests import histories
from analytics.tests.kit import view
from payments.models import Entitlement, WatchDaily
from streaming import delivered, watchtime
from streaming.models import PlaybackSession
from videos.models import Video
from videos.signals import worker_tick

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
CREATOR, ADMIN = "/api/v1/analytics/creator", "/api/v1/analytics/admin"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Let a round of the worker last as long as it must: these tests run on slow machines too."""
    monkeypatch.setattr(folding, "SECONDS_OF_ROUND", 600.0)


@pytest.fixture
def videos(make_user, make_video) -> list[Video]:
    """Two videos with ten days of history, from BEGIN on."""
    creator = make_user(Role.CREATOR)
    made = [make_video(creator=creator) for _ in range(2)]
    dice = random.Random(5)  # noqa: S311 - repeatable
    histories.make(made, BEGIN, BEGIN + 10 * DAY, 150, dice)
    return made


@pytest.fixture
def figures(client_for, admin, videos):
    """Return a function that gives every report over the history, or over part of it."""

    def ask(start: datetime = BEGIN, end: datetime = BEGIN + 12 * DAY) -> list[dict]:
        client = client_for(admin)
        query = {"from": start.isoformat(), "to": end.isoformat(), "tz": "Asia/Kathmandu"}
        query |= {"interval": "hour", "compare": "previous"}
        addresses = [ADMIN, *(f"/api/v1/analytics/videos/{video.pk}" for video in videos)]
        answers = [client.get(address, query).json() for address in addresses]
        answers.append(client.get(CREATOR, {**query, "creator": videos[0].creator_id}).json())
        assert all(answer["totals"]["views"] for answer in answers)
        return answers

    return ask


def fold_all() -> int:
    done = 0
    while more := folding.in_worker():
        done += more
    return done


def stored() -> list[tuple]:
    names = [field.name for field in Rollup._meta.fields if field.name != "id"]
    rows = Rollup.objects.order_by("day", "kind", "ref").values_list(*names)
    return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows]


def settle() -> None:
    """Let the days be folded for long, as pruning requires."""
    RollupDay.objects.exclude(folded_at=None).update(folded_at=timezone.now() - DAY)


def test_the_worker_adds_each_finished_day_up_once(figures):
    before = figures()
    worker_tick.send(sender=None, every="minute")
    assert not RollupDay.objects.filter(folded_at=None).exists()
    first, folded = stored(), list(RollupDay.objects.order_by("day").values())
    assert first
    assert [row["day"] for row in folded][:2] == [BEGIN.date(), BEGIN.date() + DAY]
    assert folded[-1]["day"] == folding.finished_before() - DAY
    assert fold_all() == 0
    assert stored() == first
    assert list(RollupDay.objects.order_by("day").values()) == folded
    assert figures() == before


def test_reports_of_folded_days_read_no_raw_row(figures, client_for, admin, videos):
    expected = figures()
    fold_all()
    VideoView.objects.all().delete()
    PlaybackSession.objects.all().delete()
    assert figures() == expected


@pytest.mark.parametrize("minutes", [1, 7, 14])
def test_a_period_that_cuts_quarter_hours_counts_what_lies_in_it(figures, videos, minutes):
    """Both edges lie within a quarter hour in which somebody watched, before and after the edge."""
    first, last = BEGIN + DAY, BEGIN + 8 * DAY + timedelta(hours=17, minutes=15)
    dice = random.Random(minutes)  # noqa: S311 - repeatable
    for edge in (first, last):
        histories.make(videos, edge, edge + timedelta(minutes=14, seconds=59), 40, dice)
    start, end = (each + timedelta(minutes=minutes, seconds=30) for each in (first, last))
    expected, whole = figures(start, end), figures(first, last + timedelta(minutes=15))
    fold_all()
    assert figures(start, end) == expected != whole


def test_today_is_read_raw(client_for, admin, viewer, videos):
    fold_all()
    view(viewer, videos[0])
    assert client_for(admin).get(ADMIN).json()["totals"]["views"] == 1
    assert fold_all() == 0


def test_a_worker_that_is_killed_while_it_stores_a_day_leaves_nothing(figures, monkeypatch):
    expected = figures()
    folding.prepare()
    day = RollupDay.objects.order_by("day")[0].day
    monkeypatch.setattr(Rollup.objects, "bulk_create", _die)
    with pytest.raises(DatabaseError):
        folding.fold(day)
    assert not Rollup.objects.exists()
    assert RollupDay.objects.get(day=day).folded_at is None
    assert figures() == expected
    monkeypatch.undo()
    assert folding.fold(day)
    assert figures() == expected


def _die(*args, **kwargs):
    raise DatabaseError("killed")


def test_a_day_that_another_worker_has_begun_is_left_to_it_for_a_while(videos):
    folding.prepare()
    newest = folding.finished_before() - DAY
    assert folding._claim() == newest
    assert folding._claim() == newest - DAY
    RollupDay.objects.filter(day=newest).update(
        claimed_at=timezone.now() - folding.CLAIM - timedelta(seconds=1)
    )
    assert folding._claim() == newest


def test_a_row_that_comes_while_a_day_is_added_up_is_not_lost(figures, videos, monkeypatch):
    folding.prepare()
    day, rollups_of = BEGIN.date() + 3 * DAY, folding.rollups_of

    def slowly(asked: date):
        rows = rollups_of(asked)
        late = PlaybackSession.objects.filter(created_at__date=day, last_heartbeat_at__isnull=False)
        deliver_late(late.exclude(access="owner").filter(watched_seconds__gt=20)[0])
        return rows

    monkeypatch.setattr(folding, "rollups_of", slowly)
    assert not folding.fold(day)
    assert not Rollup.objects.exists()
    monkeypatch.undo()
    expected = figures()
    assert folding.fold(day)
    assert figures() == expected


def deliver_late(session: PlaybackSession) -> None:
    """Record that much of the video was delivered to a session of long ago."""
    PlaybackSession.objects.filter(pk=session.pk).update(delivered_seconds=0, delivered=b"")
    assert delivered.record({session.pk: (1 << 14) - 1}) == {}


def test_late_playback_opens_its_day_until_it_is_added_up_again(figures, videos):
    fold_all()
    before = figures()
    old = PlaybackSession.objects.filter(
        created_at__gte=BEGIN + 3 * DAY, watched_seconds__gt=20, delivered_seconds=20
    )
    session = old.exclude(access="owner")[0]
    deliver_late(session)
    opened = RollupDay.objects.get(folded_at=None)
    assert opened.day == session.created_at.date()
    after = figures()
    assert after[0]["totals"]["watch_seconds"] > before[0]["totals"]["watch_seconds"]
    assert fold_all() == 1
    assert figures() == after


def test_a_late_row_that_is_rolled_back_opens_no_day(videos):
    fold_all()
    with transaction.atomic():
        folding.mark([BEGIN.date()])
        transaction.set_rollback(True)
    assert not RollupDay.objects.filter(folded_at=None).exists()


def test_invented_views_reach_days_that_are_folded(figures, videos):
    fold_all()
    before = figures()
    dice = random.Random(3)  # noqa: S311 - repeatable
    seeding.invent_views(60, videos, BEGIN, BEGIN + 9 * DAY, dice, lambda done, total: None)
    after = figures()
    assert after[0]["totals"]["views"] == before[0]["totals"]["views"] + 60
    assert fold_all() > 0
    assert figures() == after


def test_the_curve_of_a_day_before_another_file_is_read_from_the_raw_rows(figures, videos):
    Video.objects.filter(pk=videos[0].pk).update(duration_seconds=50.0)
    expected = figures()
    Video.objects.filter(pk=videos[0].pk).update(duration_seconds=60.0)
    fold_all()
    Video.objects.filter(pk=videos[0].pk).update(duration_seconds=50.0)
    assert figures() == expected
    call_command("rebuild_rollups", check=True)


# --- rebuilding -------------------------------------------------------------------------------


def test_rebuilding_changes_nothing(figures, capsys):
    fold_all()
    before, expected = stored(), figures()
    call_command("rebuild_rollups")
    assert "No roll-ups differ." in capsys.readouterr().out
    assert stored() == before
    assert figures() == expected
    call_command("rebuild_rollups", resume=True)
    assert "0 days were compared" in capsys.readouterr().out


def test_rebuilding_adds_the_days_that_are_missing(figures, capsys):
    expected = figures()
    call_command("rebuild_rollups", check=True)
    assert not RollupDay.objects.exists()
    call_command("rebuild_rollups")
    assert f"{RollupDay.objects.exclude(folded_at=None).count()} added" in capsys.readouterr().out
    assert figures() == expected


def test_rebuilding_finds_and_mends_what_differs(figures, capsys):
    fold_all()
    before = stored()
    wrong = Rollup.objects.filter(kind="video", day=BEGIN.date() + DAY)[0]
    Rollup.objects.filter(pk=wrong.pk).update(views=99)
    Rollup.objects.filter(kind="all", day=BEGIN.date() + 2 * DAY).delete()
    with pytest.raises(CommandError, match="2 roll-ups differ"):
        call_command("rebuild_rollups", check=True)
    said = capsys.readouterr().out
    assert f"{wrong.day} video {wrong.ref}: views: stored 99, found {wrong.views}" in said
    assert Rollup.objects.get(pk=wrong.pk).views == 99
    with pytest.raises(CommandError, match="1 roll-ups differ"):
        call_command("rebuild_rollups", "--check", "--from", str(wrong.day + DAY))
    call_command("rebuild_rollups", "--to", str(wrong.day + DAY))
    assert stored() == before
    call_command("rebuild_rollups", check=True)


@pytest.mark.parametrize(
    "options",
    [{"start": "yesterday"}, {"end": "2026-02-31"}, {"start": "2026-02-02", "end": "2026-02-01"}],
)
def test_a_wrong_day_is_refused(options, videos):
    with pytest.raises(CommandError, match="--"):
        call_command("rebuild_rollups", **options)
    assert not RollupDay.objects.exists()


# --- pruning ----------------------------------------------------------------------------------


def test_old_playback_is_pruned_by_the_setting_and_no_figure_changes(figures, settings, capsys):
    expected = figures()
    fold_all()
    settle()
    cut = BEGIN.date() + 5 * DAY
    settings.ANALYTICS_RETENTION_DAYS = 0
    worker_tick.send(sender=None, every="hour")
    assert PlaybackSession.objects.count() == 150
    with time_machine.travel(timezone.now(), tick=False):  # over midnight it would be another day
        settings.ANALYTICS_RETENTION_DAYS = (timezone.now().date() - cut).days
        worker_tick.send(sender=None, every="hour")
    left = PlaybackSession.objects.filter(created_at__date__lt=cut)
    assert all(session.view.at.date() >= cut for session in left)
    assert 0 < PlaybackSession.objects.count() < 150
    assert pruning.pruned_until() == cut
    assert figures() == expected
    assert pruning.prune_by_setting() == 0
    call_command("rebuild_rollups")
    assert "5 are pruned" in capsys.readouterr().out
    assert figures() == expected


def test_days_that_are_not_folded_or_were_just_folded_are_not_pruned(figures):
    assert pruning.prune(BEGIN.date() + 9 * DAY) == 0
    fold_all()
    assert pruning.prune(BEGIN.date() + 9 * DAY) == 0
    settle()
    folding.mark([BEGIN.date() + 2 * DAY])
    pruning.prune(BEGIN.date() + 9 * DAY)
    pruned = RollupDay.objects.exclude(pruned_at=None).order_by("day")
    assert [each.day for each in pruned] == [BEGIN.date(), BEGIN.date() + DAY]
    first_day = PlaybackSession.objects.filter(created_at__date=BEGIN.date() + 2 * DAY)
    assert first_day.count() > 5


def test_what_money_needs_is_not_pruned(viewer, make_video, buy, figures):
    video = make_video(price=500)
    buy(viewer, video)
    bought = view(viewer, video, seconds=30.0)
    assert Entitlement.objects.filter(source_type="order").get() == bought.entitlement
    unbooked = view(viewer, make_video(), seconds=30.0)
    other = view(None, make_video(), seconds=30.0)
    watchtime.fold()
    PlaybackSession.objects.filter(pk=unbooked.pk).update(folded_seconds=0)
    WatchDaily.objects.filter(video=unbooked.video).delete()
    PlaybackSession.objects.update(created_at=BEGIN, expires_at=BEGIN + DAY)
    VideoView.objects.update(at=BEGIN)
    fold_all()
    settle()
    pruning.prune(BEGIN.date() + 9 * DAY)
    assert set(PlaybackSession.objects.all()) == {bought, unbooked}
    assert not PlaybackSession.objects.filter(pk=other.pk).exists()
    assert watchtime.fold() == 1
    assert WatchDaily.objects.get(video=unbooked.video).seconds == 30
    pruning.prune(BEGIN.date() + 9 * DAY)
    assert set(PlaybackSession.objects.all()) == {bought}


def test_views_are_invented_after_the_pruned_days_only(figures, admin):
    fold_all()
    settle()
    pruning.prune(BEGIN.date() + 5 * DAY)
    expected = figures()[0]["totals"]["views"]
    seeding.seed(
        views=300, purchases=0, creators=1, password=None, seed=2, progress=lambda done, total: None
    )
    begin = PlaybackSession.objects.filter(version="demo").order_by("created_at")[0]
    assert begin.created_at.date() >= BEGIN.date() + 5 * DAY
    assert figures()[0]["totals"]["views"] >= expected


def test_the_numbers_of_viewers_stay(videos):
    fold_all()
    numbers = dict(ViewerNumber.objects.values_list("viewer_key", "pk"))
    assert numbers.keys() == set(VideoView.objects.values_list("viewer_key", flat=True))
    assert folding.numbers_of({*numbers, "another"}).items() >= numbers.items()
    assert ViewerNumber.objects.count() == len(numbers) + 1


def test_a_roll_up_names_no_viewer(videos):
    fold_all()
    keys = set(VideoView.objects.values_list("viewer_key", flat=True))
    text = repr(stored())
    assert keys
    assert not any(key in text for key in keys)
