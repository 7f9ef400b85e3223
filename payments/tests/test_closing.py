"""A close of a month that stops half-way: what is frozen, who waits, and who finishes it."""

import time
from unittest.mock import patch

import pytest
from django.db import connection

from config import turns, turnstile
from payments import scheduled
from payments.books import verification
from payments.errors import EarlierPeriodOpen
from payments.models import MoneyMode, Pool, PoolShare, Statement, Transfer, WatchDaily
from payments.services.modes import switching
from payments.services.payouts import statements
from payments.services.sharing import pools
from payments.services.sharing.watchtime import record
from payments.tests.kit import Killed, assert_books_balance, nothing_changes, together
from payments.tests.months import AUGUST, SEPTEMBER, at, close, give_back, watch

pytestmark = pytest.mark.django_db
CREATORS = 5


@pytest.fixture
def month(subscribe, make_user, make_video, monkeypatch):
    """August with two subscribers who watched five creators; it is closed in batches of two."""
    monkeypatch.setattr(pools, "BATCH", 2)
    monkeypatch.setattr(statements, "BATCH", 2)
    videos = [make_video() for _ in range(CREATORS)]
    with at("2026-08-01 00:00"):
        subscribed = [subscribe(make_user()) for _ in range(2)]
    for subscription in subscribed:
        for number, video in enumerate(videos):
            watch(subscription.user, video, "2026-08-02", 30 + number)
    return subscribed, videos


@pytest.fixture
def half(month):
    """The same month after its close was killed in the second batch of shares."""
    batches = iter([True, Killed])
    whole = pools._share_batch

    def dying(*args):
        if next(batches) is Killed:
            raise Killed
        return whole(*args)

    with patch.object(pools, "_share_batch", dying), pytest.raises(Killed):
        close(AUGUST)
    assert Pool.objects.get().status == "closing"
    assert PoolShare.objects.count() == Transfer.objects.filter(entry__kind="pool").count() == 2
    return month


def assert_closed() -> None:
    pool = Pool.objects.get()
    assert pool.status == "closed"
    assert PoolShare.objects.count() == Statement.objects.count() == CREATORS
    assert Transfer.objects.filter(entry__pool=pool).count() == CREATORS
    assert pools.verify_month(AUGUST) == []
    assert not verification.verify_ledger().discrepancies
    assert_books_balance()


def test_the_worker_finishes_a_close_that_was_left(half):
    with at("2026-09-03 01:00"):
        scheduled.hourly()
    assert_closed()
    with at("2026-09-03 02:00"), nothing_changes():
        pools.finish_closes()


def test_an_administrator_finishes_it_and_gets_all_shares(half, admin):
    (closing,) = close(AUGUST)
    assert len(closing.shares) == CREATORS
    assert sum(share.amount for share in closing.shares.values()) == closing.pool.amount > 0
    assert_closed()


def test_what_happens_meanwhile_does_not_change_the_month(half):
    """Watch time that arrives late counts today, a refund in its own month, and the algorithm stays."""
    (first, _), videos = half
    foreseen = Pool.objects.get().input_sha256
    with at("2026-09-03 00:30"):
        record(
            user_id=first.user_id,
            video=videos[0],
            day=AUGUST.first_day,
            seconds=50,
            plan_seconds=50,
        )
    assert WatchDaily.objects.filter(day="2026-09-03").count() == 1
    give_back(first.invoices.get(), 999, "2026-09-03 00:40")
    with at("2026-09-03 01:00"), patch("django.conf.settings.POOL_ALGORITHM", "user-centric-v1"):
        pools.finish_closes()
    assert Pool.objects.get().input_sha256 == foreseen
    assert_closed()


def test_a_switch_of_the_mode_finishes_it_first(half):
    with at("2026-09-03 01:00"):
        assert switching.switch(MoneyMode.Mode.TEST)
    pool = Pool.objects.get()
    assert (pool.status, pool.shares.count()) == ("closed", CREATORS)
    assert not verification.verify_ledger().discrepancies


def test_a_half_closed_month_is_no_closed_month(half, client_for, admin):
    assert pools.verify_month(AUGUST) == ["pool 2026-08 USD is still being closed"]
    assert not verification.verify_ledger().discrepancies
    with pytest.raises(EarlierPeriodOpen, match="2026-08"):
        close(SEPTEMBER)
    listed = client_for(admin).get("/api/v1/payments/admin/pools").data
    assert listed["results"] == []
    (closing,) = close(AUGUST, dry_run=True)
    assert (len(closing.shares), PoolShare.objects.count()) == (CREATORS, 2)


def test_a_close_whose_month_was_changed_meanwhile_is_refused(half):
    WatchDaily.objects.filter(pk=WatchDaily.objects.earliest("pk").pk).update(plan_seconds=77)
    with nothing_changes(), pytest.raises(RuntimeError, match="is being closed"):
        close(AUGUST)


@pytest.mark.django_db(transaction=True)
def test_two_processes_do_the_work_of_one(month):
    with at("2026-09-03 00:00"):
        closings = together([lambda: pools.close_month(AUGUST)] * 2)
    assert [len(closing.shares) for (closing,) in closings] == [CREATORS] * 2
    assert_closed()


def test_a_long_work_pauses_on_sqlite(monkeypatch):
    """Whoever is next in the queue of writers looks several times within a pause."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(turns, "WRITING", -1)
    turns.Turns().give()
    assert pauses == ([turns.PAUSE] if connection.vendor == "sqlite" else [])
    assert max(turnstile.WINDOW, 5 * max(turnstile.LOOKS)) <= turns.PAUSE


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases have no single writer")
def test_another_thread_writes_before_a_long_work_is_over(tmp_path):
    queue, order = turnstile.Turnstile(tmp_path / "turn"), []

    def work() -> None:
        own = turns.Turns()
        for _ in range(40):
            with queue.turn():
                order.append("work")
                time.sleep(0.02)
            own.give()

    def other() -> None:
        while "work" not in order:
            time.sleep(0.001)
        with queue.turn():
            order.append("other")

    together([work, other])
    assert order.index("other") < 20
