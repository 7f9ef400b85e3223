"""Statements that change many rows lock them by id: two of them never wait for each other."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import tokens
from accounts.models import RefreshFamily
from analytics.models import RollupDay
from analytics.rollups import folding
from config import batches
from payments.models import Entitlement
from payments.services import access
from payments.tests.lock_recorder import LockRecorder
from streaming import sessions
from streaming.delivery import snapshot
from streaming.models import PlaybackSession
from videos.models import Video
from videos.services import catalogue

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
ROWS = 8


@pytest.fixture
def in_order():
    """Return a function that does work, and fails when it locks rows of a table in another order."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time, and no row locks")

    def act(rows, work):
        assert rows.count() >= ROWS - 1
        field = next(each for each in rows.model._meta.fields if not each.primary_key).attname
        # PostgreSQL writes a changed row anew, at the end: a plain UPDATE then goes from the last id on.
        for pk, value in rows.order_by("-pk").values_list("pk", field):
            rows.model.objects.filter(pk=pk).update(**{field: value})
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
        recorder = LockRecorder()
        with recorder.recording(work.__qualname__):
            result = work()
        locked = [row for each in recorder.transactions.values() for row in each]
        assert {str(pk) for pk in rows.values_list("pk", flat=True)} <= {pk for _, pk in locked}
        recorder.assert_rows_by_id()
        return result

    return act


@pytest.fixture
def playing(make_user, make_video):
    """Return the running sessions of one viewer."""
    user, video, now = make_user(), make_video(), timezone.now()
    for _ in range(ROWS):
        PlaybackSession.objects.create(
            user=user, video=video, version="1", access="free", viewer_key="k",
            expires_at=now + timedelta(hours=1),
        )  # fmt: skip
    return PlaybackSession.objects.filter(user=user)


def test_a_plain_update_would_not_be_in_order(in_order, playing):
    with pytest.raises(AssertionError, match="another order than by id"):
        in_order(playing, lambda: playing.update(last_seen_at=timezone.now()))


def test_sessions_end_in_order(in_order, playing):
    assert in_order(playing, lambda: sessions.end(playing, sessions.Reason.REVOKED)) == ROWS
    assert not playing.filter(ended_at=None).exists()
    assert sessions.end(playing, sessions.Reason.REVOKED) == 0


def test_the_delivery_stores_activity_in_order(in_order, playing):
    ids, seen = list(playing.values_list("pk", flat=True)), timezone.now() + timedelta(minutes=1)
    in_order(playing, lambda: snapshot.store_activity(ids, seen))
    assert set(playing.values_list("last_seen_at", flat=True)) == {seen}


def test_entitlements_expire_in_order(in_order, make_user, make_video):
    now = timezone.now()
    for number in range(ROWS):
        user = make_user()
        Entitlement.objects.create(
            user=user, video=make_video(price=1999), source_type="order", source_id=user.pk,
            ends_at=now - timedelta(hours=number),
        )  # fmt: skip
    assert in_order(Entitlement.objects.all(), access.record_expired) == ROWS


def test_sign_ins_end_in_order(in_order, make_user):
    user = make_user()
    for _ in range(ROWS):
        tokens.issue(user)
    families = RefreshFamily.objects.filter(user=user)
    assert in_order(families, lambda: tokens.end_all(user)) == ROWS


def test_days_are_marked_in_order(in_order):
    days = [date(2026, 3, number) for number in range(1, ROWS + 1)]
    RollupDay.objects.bulk_create(
        RollupDay(day=day, folded_at=datetime(2026, 4, 1, tzinfo=UTC)) for day in days
    )
    in_order(RollupDay.objects.all(), lambda: folding.mark(days))
    assert not RollupDay.objects.exclude(folded_at=None).exists()


def test_batches_delete_in_order(in_order, playing):
    kept = list(playing.order_by("pk").values_list("pk", flat=True))[:1]

    def work():
        with transaction.atomic():
            return batches.delete(playing.exclude(pk__in=kept))

    gone = playing.exclude(pk__in=kept)
    in_order(gone, work)
    assert list(playing.values_list("pk", flat=True)) == kept


def test_videos_that_are_each_others_trailer_are_deleted_in_order(in_order, make_video, admin):
    last = make_video()
    videos = [make_video(creator=last.creator) for _ in range(ROWS)]
    Video.objects.filter(pk__in=[video.pk for video in videos]).update(trailer=last)
    in_order(
        Video.objects.filter(creator=last.creator),
        lambda: catalogue.delete_video(video=last, actor=admin),
    )
    assert not Video.objects.exclude(trailer=None).exists()
