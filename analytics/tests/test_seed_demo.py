"""`manage.py seed_demo`: what it invents, and where it refuses to."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from analytics import seeding
from analytics.models import VideoView
from payments.models import Order
from streaming.models import PlaybackSession
from videos.models import Video

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def seed(*arguments: str) -> None:
    call_command("seed_demo", *arguments, verbosity=0)


def test_it_invents_views_and_real_purchases(settings, client_for, admin, capsys):
    settings.DEBUG = True
    seed("--views", "300", "--purchases", "3", "--creators", "2")
    assert "2 creators, 16 videos, 300 views and 3 purchases" in capsys.readouterr().out
    assert VideoView.objects.count() == 300 <= PlaybackSession.objects.count()
    assert sum(Video.objects.values_list("views", flat=True)) == 300
    assert Order.objects.filter(status="paid").count() == 3
    now = timezone.now()
    begin = (now - timedelta(days=seeding.DAYS + 7)).isoformat()
    query = {"from": begin, "interval": "month"}
    data = client_for(admin).get("/api/v1/analytics/admin", query).json()
    assert data["totals"]["views"] == 300
    assert data["totals"]["purchases"] == 3
    assert len(data["series"]) > 20
    assert not VideoView.objects.filter(at__gt=now).exists()
    assert not PlaybackSession.objects.running().exists()
    assert Video.objects.filter(visibility="public").count() == 0


def test_the_last_day_has_no_more_views_than_others():
    end, dice = datetime(2026, 6, 3, 12, tzinfo=UTC), random.Random(1)  # noqa: S311 - repeatable
    made = [seeding._moment(end - 21 * dice.random() * DAY, end, dice) for _ in range(2000)]
    assert max(made) < end
    last = sum(at > end - DAY for at in made)
    assert last < 2 * len(made) / 21


def test_it_invents_in_batches(settings, monkeypatch):
    settings.DEBUG = True
    monkeypatch.setattr(seeding, "BATCH", 50)
    sizes, real = [], seeding._insert

    def insert(batch) -> None:
        sizes.append(len(batch))
        real(batch)

    monkeypatch.setattr(seeding, "_insert", insert)
    seed("--views", "230", "--purchases", "0")
    assert max(sizes) == 50
    assert VideoView.objects.count() == 230


@pytest.mark.parametrize(
    "arguments", [("--views", "0"), ("--creators", "0"), ("--purchases", "-1")]
)
def test_wrong_numbers_are_refused(settings, arguments):
    settings.DEBUG = True
    with pytest.raises(CommandError):
        seed(*arguments)
    assert not Video.objects.exists()


def test_a_database_that_may_be_real_is_refused_unless_told(settings, make_video):
    with pytest.raises(CommandError, match="DEBUG is off"):
        seed("--views", "10")
    settings.DEBUG = True
    make_video()
    with pytest.raises(CommandError, match="not invented"):
        seed("--views", "10")
    assert (VideoView.objects.count(), Video.objects.count()) == (0, 1)
    settings.DEBUG = False
    seed("--views", "10", "--purchases", "0", "--creators", "1", "--force")
    assert VideoView.objects.count() == 10


def test_no_purchase_is_invented_at_a_real_gateway(settings):
    settings.DEBUG, settings.PAYMENT_GATEWAY = True, "stripe"
    with pytest.raises(CommandError, match="stripe"):
        seed("--views", "10", "--force")
    assert not Video.objects.exists()
