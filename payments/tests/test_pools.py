"""Closing a month: recognition of invoices, the pool, the watch time that counts, verification."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from payments.errors import EarlierPeriodOpen, PeriodNotOver
from payments.models import (
    Invoice,
    JournalEntry,
    Plan,
    Pool,
    PoolShare,
    SandboxPayment,
    Statement,
    Transfer,
    WatchDaily,
)
from payments.services.sharing import pools, watchtime
from payments.services.subscribing import subscriptions
from payments.tests.kit import (
    VISA,
    assert_books_balance,
    balances,
    nothing_changes,
    together,
)
from payments.tests.months import (
    AUGUST,
    OCTOBER,
    SEPTEMBER,
    at,
    bounce,
    close,
    give_back,
    shares,
    watch,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    """Plans at 10.00 a month and 365.00 a year, so that a day of the year costs 1.00."""
    Plan.objects.filter(code="monthly").update(amount=1000)
    return Plan.objects.create(
        code="yearly", name="Yearly", amount=36500, currency="USD", interval="year"
    )


@pytest.fixture
def pay(plan):
    """Return a function that subscribes a user at a moment and returns the paid invoice."""

    def make(user, moment="2026-08-01 00:00", code="monthly") -> Invoice:
        with at(moment):
            subscription, _ = subscriptions.subscribe(
                user=user, plan_code=code, payment_method=VISA
            )
        return subscription.invoices.get()

    return make


class TestEarning:
    def test_an_invoice_is_recognised_when_its_month_is_over(self, pay, viewer):
        invoice = pay(viewer)
        assert balances() == {"clearing:USD": -1000, "deferred:USD": 1000}
        assert pools.recognise(AUGUST, "USD") == 1
        assert balances() == {"clearing:USD": -1000, "pool:USD": 800, "platform:USD": 200}
        entry = JournalEntry.objects.get(kind="recognition")
        assert entry.effective_at == AUGUST.last_moment
        invoice.refresh_from_db()
        assert (invoice.recognised, invoice.recognised_upto) == (1000, date(2026, 8, 31))
        with nothing_changes():
            assert pools.recognise(AUGUST, "USD") == 0

    def test_a_period_across_two_months_is_recognised_by_days(self, pay, viewer):
        invoice = pay(viewer, "2026-08-22 15:00")  # 31 days: 10 in August, 21 in September
        pools.recognise(AUGUST, "USD")
        invoice.refresh_from_db()
        assert invoice.recognised == 1000 * 10 // 31
        pools.recognise(SEPTEMBER, "USD")
        assert balances() == {"clearing:USD": -1000, "pool:USD": 800, "platform:USD": 200}

    @pytest.mark.promise("year-recognised-in-twelve-parts")
    def test_a_year_is_recognised_in_twelve_parts_that_add_up(self, pay, viewer):
        """Twelve monthly recognitions of a yearly invoice follow the days of the months and add up
        exactly."""
        invoice = pay(viewer, "2026-08-01 00:00", "yearly")
        month, parts = AUGUST, []
        while Invoice.objects.get().recognised < invoice.amount:
            before = Invoice.objects.get().recognised
            pools.recognise(month, "USD")
            parts.append(Invoice.objects.get().recognised - before)
            month = month.next()
        assert parts == [100 * d for d in (31, 30, 31, 30, 31, 31, 28, 31, 30, 31, 30, 31)]
        assert balances() == {"clearing:USD": -36500, "pool:USD": 29200, "platform:USD": 7300}
        assert JournalEntry.objects.filter(kind="recognition").count() == 12

    def test_a_subscription_that_ended_early_is_recognised_at_once(self, pay, viewer):
        pay(viewer, "2026-08-22 15:00")
        with at("2026-08-25 00:00"):
            subscriptions.cancel(user=viewer, at_period_end=False)
        pools.recognise(AUGUST, "USD")
        assert balances() == {"clearing:USD": -1000, "pool:USD": 800, "platform:USD": 200}

    @pytest.mark.promise("invoice-refund-and-recognition")
    def test_money_refunded_before_recognition_is_not_earned(self, pay, viewer):
        """A refund before the recognition leaves only the kept money to be earned."""
        give_back(pay(viewer), 400, "2026-08-20 00:00")
        pools.recognise(AUGUST, "USD")
        assert balances() == {"clearing:USD": -600, "pool:USD": 480, "platform:USD": 120}

    @pytest.mark.promise("invoice-refund-and-recognition")
    def test_a_refund_after_recognition_reverses_it(self, pay, viewer):
        """A refund after the recognition takes the earned money back from pool and platform."""
        invoice = pay(viewer)
        pools.recognise(AUGUST, "USD")
        give_back(invoice, 1000, "2026-09-05 00:00")
        assert balances() == {}
        pools.recognise(SEPTEMBER, "USD")
        invoice.refresh_from_db()
        assert (invoice.recognised, balances()) == (0, {})

    def test_money_of_a_failed_refund_is_recognised_when_it_is_back(self, pay, viewer):
        invoice = pay(viewer)
        pools.recognise(AUGUST, "USD")
        refund = give_back(invoice, 700, "2026-09-05 00:00")
        assert balances() == {"clearing:USD": -300, "pool:USD": 240, "platform:USD": 60}
        pools.recognise(SEPTEMBER, "USD")
        invoice.refresh_from_db()
        assert invoice.recognised == 300
        bounce(refund, "2026-10-05 00:00")
        assert balances()["deferred:USD"] == 700
        pools.recognise(OCTOBER, "USD")
        assert balances() == {"clearing:USD": -1000, "pool:USD": 800, "platform:USD": 200}

    def test_money_of_a_failed_refund_is_recognised_over_the_remaining_days(self, pay, viewer):
        invoice = pay(viewer, "2026-08-01 00:00", "yearly")
        pools.recognise(AUGUST, "USD")  # 3100
        refund = give_back(invoice, 35500, "2026-09-05 00:00")
        pools.recognise(SEPTEMBER, "USD")
        invoice.refresh_from_db()
        assert (invoice.recognised, balances()["pool:USD"]) == (1000, 800)
        bounce(refund, "2026-10-05 00:00")
        pools.recognise(OCTOBER, "USD")
        invoice.refresh_from_db()
        assert invoice.recognised == 1000 + 35500 * 31 // 304
        assert balances() == {
            "clearing:USD": -36500, "deferred:USD": 31880, "pool:USD": 3696, "platform:USD": 924,
        }  # fmt: skip


class TestSharing:
    def test_a_pool_is_shared_by_the_subscribers_watch_time(self, pay, make_user, make_video):
        viewers, videos = [make_user() for _ in range(3)], [make_video() for _ in range(2)]
        for viewer in viewers:
            pay(viewer)
        watch(viewers[0], videos[0], "2026-08-01", 100)
        watch(viewers[1], videos[0], "2026-08-31", 50)
        watch(viewers[2], videos[1], "2026-08-15", 50)
        watch(viewers[2], videos[1], "2026-09-01", 150)  # another month's

        told: list[str] = []
        (closing,) = close(AUGUST, on_step=told.append)

        assert told == [
            "USD: recognising invoices", "USD: sharing the pool", "USD: writing the statements",
        ]  # fmt: skip
        assert shares(closing) == {
            str(videos[0].creator_id): 1800,
            str(videos[1].creator_id): 600,
        }
        pool = Pool.objects.get()
        assert (pool.period, pool.amount, pool.balance, pool.total_seconds) == (
            "2026-08", 2400, 2400, 200,
        )  # fmt: skip
        assert balances() == {"clearing:USD": -3000, "platform:USD": 600, "creator:USD": 2400}
        entry = JournalEntry.objects.get(kind="pool")
        assert (entry.key, entry.effective_at) == ("pool:2026-08:USD", AUGUST.last_moment)
        held_until = set(entry.transfers.values_list("available_on", flat=True))
        assert held_until == {AUGUST.end + timedelta(days=14)}
        assert Statement.objects.count() == 2
        closed = AuditEntry.objects.get(action="pool.closed").data
        assert closed == {
            "period": "2026-08", "currency": "USD", "balance": 2400, "amount": 2400, "creators": 2,
            "input_sha256": pool.input_sha256,
        }  # fmt: skip
        assert pools.verify_month(AUGUST) == []
        assert_books_balance()

    @pytest.mark.promise("month-closed-once")
    def test_closing_again_changes_nothing(self, pay, viewer, make_video):
        """Closing a closed month returns the same pool and shares and changes nothing."""
        pay(viewer)
        watch(viewer, make_video(), "2026-08-01", 60)
        (first,) = close(AUGUST)
        with nothing_changes():
            (again,) = close(AUGUST)
        assert (again.pool.pk, again.shares) == (first.pool.pk, first.shares)

    def test_a_month_is_not_closed_before_late_heartbeats_are_in(self, pay, viewer):
        pay(viewer)
        with at("2026-09-02 23:59"), nothing_changes(), pytest.raises(PeriodNotOver):
            pools.close_month(AUGUST)
        assert not Pool.objects.exists()

    def test_months_are_closed_in_their_order(self, pay, viewer):
        pay(viewer)
        with nothing_changes(), pytest.raises(EarlierPeriodOpen, match="2026-08"):
            close(SEPTEMBER)
        close(AUGUST)
        (closing,) = close(SEPTEMBER)  # with what August could not share
        assert (closing.pool.balance, closing.pool.amount) == (800, 0)

    def test_a_dry_run_predicts_the_close_and_writes_nothing(self, pay, viewer, make_video):
        pay(viewer, "2026-08-22 15:00")
        watch(viewer, make_video(), "2026-08-23", 60)
        with at("2026-08-30 00:00"), nothing_changes():
            (expected,) = pools.close_month(AUGUST, dry_run=True)
        assert not Pool.objects.exists()
        (closing,) = close(AUGUST)
        assert (
            shares(closing) == shares(expected) == {str(WatchDaily.objects.get().creator_id): 258}
        )
        assert closing.pool.input_sha256 == expected.pool.input_sha256

    @pytest.mark.promise("unwatched-pool-carried")
    def test_a_pool_without_watch_time_is_carried_over(self, pay, viewer, make_user, make_video):
        """A pool of a month without watch time is carried over and shared in the next month."""
        pay(viewer)
        (closing,) = close(AUGUST)
        assert (closing.pool.amount, closing.pool.balance, closing.shares) == (0, 800, {})
        assert balances()["pool:USD"] == 800
        second = make_user()
        pay(second, "2026-09-01 00:00")
        watch(second, make_video(), "2026-09-10", 60)
        (closing,) = close(SEPTEMBER)
        assert closing.pool.amount == 1600
        assert "pool:USD" not in balances()

    @pytest.mark.promise("negative-pool-carried")
    def test_a_negative_pool_is_carried_over(self, pay, make_user, make_video):
        """A pool below zero pays no shares and is carried over until later subscriptions fill it."""
        first, second, video = make_user(), make_user(), make_video()
        invoice = pay(first)
        watch(first, video, "2026-08-01", 60)
        close(AUGUST)
        give_back(invoice, 1000, "2026-09-05 00:00")
        assert balances() == {"pool:USD": -800, "creator:USD": 800}
        pay(second, "2026-09-16 00:00")  # 15 of 30 days: 500, and 400 of it to the pool
        watch(second, video, "2026-09-17", 60)
        (closing,) = close(SEPTEMBER)
        assert (closing.pool.balance, closing.pool.amount) == (-400, 0)
        watch(second, video, "2026-10-03", 60)
        (closing,) = close(OCTOBER)
        assert (closing.pool.balance, closing.pool.amount) == (0, 0)
        assert balances()["creator:USD"] == 800
        for month in (AUGUST, SEPTEMBER, OCTOBER):
            assert pools.verify_month(month) == []

    @pytest.mark.promise("currencies-never-mix")
    def test_currencies_have_pools_of_their_own(self, pay, plan, make_user, make_video):
        """Each currency has its own pool, shared by the watch time of its own subscribers."""
        euros = Plan.objects.create(code="euro", name="Euro", amount=500, currency="EUR")
        here, there = make_user(), make_user()
        pay(here)
        pay(there, code=euros.code)
        one, other = make_video(), make_video()
        watch(here, one, "2026-08-01", 60)
        watch(there, other, "2026-08-01", 60)
        by_currency = {c.pool.currency: shares(c) for c in close(AUGUST)}
        assert by_currency == {
            "EUR": {str(other.creator_id): 400},
            "USD": {str(one.creator_id): 800},
        }

    def test_the_user_centric_algorithm_shares_each_subscribers_own_money(
        self, pay, make_user, make_video, settings
    ):
        settings.POOL_ALGORITHM = "user-centric-v1"
        little, much = make_user(), make_user()
        pay(little), pay(much)
        one, other = make_video(duration_seconds=30000), make_video(duration_seconds=30000)
        watch(little, one, "2026-08-01", 60)
        watch(much, other, "2026-08-01", 60000)
        (closing,) = close(AUGUST)
        assert shares(closing) == {str(one.creator_id): 800, str(other.creator_id): 800}
        assert closing.pool.algorithm == "user-centric-v1"
        settings.POOL_ALGORITHM = "prorata-v1"  # the pool remembers its own
        assert pools.verify_month(AUGUST) == []


class TestWhatCounts:
    @pytest.fixture
    def video(self, make_video):
        return make_video(duration_seconds=100)

    def weights(self, **options) -> dict[str, int]:
        with at("2026-08-31 00:00"):
            closings = pools.close_month(AUGUST, dry_run=True, **options)
        return {c: share.seconds for closing in closings for c, share in closing.shares.items()}

    @pytest.mark.promise("watch-time-that-counts")
    def test_seconds_outside_the_subscription_do_not_count(self, pay, viewer, video):
        """Seconds watched outside the subscription, for example of a bought video, carry no weight."""
        pay(viewer)
        watchtime.record(
            user_id=viewer.pk, video=video, day=date(2026, 8, 1), seconds=90, plan_seconds=0
        )
        assert self.weights() == {}

    @pytest.mark.promise("watch-time-that-counts")
    def test_less_than_thirty_seconds_do_not_count(self, pay, viewer, video, make_video):
        pay(viewer)
        watch(viewer, video, "2026-08-01", 29)
        watch(viewer, make_video(creator=video.creator), "2026-08-01", 30)
        assert self.weights() == {str(video.creator_id): 30}

    @pytest.mark.promise("watch-time-that-counts")
    def test_a_creators_own_views_do_not_count(self, pay, video):
        """A creator's own views carry no weight, even when the creator subscribes."""
        pay(video.creator)
        watch(video.creator, video, "2026-08-01", 60)
        assert self.weights() == {}

    @pytest.mark.promise("watch-time-that-counts")
    def test_a_viewer_without_a_paid_invoice_does_not_count(self, pay, viewer, make_user, video):
        pay(viewer)
        watch(make_user(), video, "2026-08-01", 60)
        invoice = pay(make_user(), "2026-09-01 00:00")
        watch(invoice.subscription.user, video, "2026-08-01", 60)  # their month is the next one
        assert self.weights() == {}

    @pytest.mark.promise("watch-time-that-counts")
    def test_at_most_three_times_the_video_counts_in_a_day(self, pay, viewer, video):
        """A viewer's day carries at most the weight of three times the video's length."""
        pay(viewer)
        for _ in range(4):
            watch(viewer, video, "2026-08-01", 90)
        watch(viewer, video, "2026-08-02", 90)
        row = WatchDaily.objects.get(day="2026-08-01")
        assert (row.seconds, row.plan_seconds) == (360, 300)
        assert self.weights() == {str(video.creator_id): 390}

    def test_a_day_counts_at_most_86400_seconds(self, viewer, make_video):
        video = make_video(duration_seconds=80_000)
        for _ in range(2):
            watch(viewer, video, "2026-08-01", 50_000)
        row = WatchDaily.objects.get()
        assert (row.seconds, row.plan_seconds) == (86_400, 86_400)

    @pytest.mark.promise("statement-reproducible")
    def test_late_watch_time_counts_in_the_running_month(self, pay, viewer, video):
        """Watch time that arrives after the close counts in the running month; the closed one
        still verifies."""
        pay(viewer)
        watch(viewer, video, "2026-08-01", 60)
        close(AUGUST)
        with at("2026-09-03 01:00"):
            watch(viewer, video, "2026-08-31", 60)
        assert WatchDaily.objects.get(day="2026-09-03").plan_seconds == 60
        assert pools.verify_month(AUGUST) == []

    def test_seconds_below_zero_are_refused(self, viewer, video):
        with pytest.raises(ValueError, match="negative"):
            watch(viewer, video, "2026-08-01", -1)
        assert not WatchDaily.objects.exists()


class TestVerifying:
    @pytest.fixture
    def closed(self, pay, make_user, make_video):
        users = [make_user(), make_user()]
        for user in users:
            pay(user)
            watch(user, make_video(), "2026-08-01", 60)
        (closing,) = close(AUGUST)
        assert pools.verify_month(AUGUST) == []
        return closing

    @pytest.mark.promise("statement-reproducible")
    @pytest.mark.parametrize(
        "corrupt",
        [
            lambda: WatchDaily.objects.filter(pk=WatchDaily.objects.earliest("pk").pk).update(
                plan_seconds=61
            ),
            lambda: PoolShare.objects.filter(pk=PoolShare.objects.earliest("pk").pk).update(
                amount=799
            ),
            lambda: Pool.objects.update(input_sha256="0" * 64),
            lambda: Pool.objects.update(balance=1599),
            lambda: Statement.objects.filter(pk=Statement.objects.earliest("pk").pk).delete(),
            lambda: Statement.objects.update(body="{}"),
            lambda: Statement.objects.update(sha256="0" * 64),
        ],
    )
    def test_a_change_after_the_close_is_found(self, closed, corrupt):
        """verify_month reports a weight, share, pool or statement that was changed after the close."""
        corrupt()
        assert pools.verify_month(AUGUST) != []

    def test_an_open_month_does_not_verify(self):
        assert pools.verify_month(AUGUST) == ["2026-08 has not been closed"]


def test_many_creators_cost_no_more_statements_than_few(pay, make_user, make_video):
    viewer = make_user()
    pay(viewer, code="yearly")
    costs = []
    for month, creators in ((AUGUST, 2), (SEPTEMBER, 25)):
        for _ in range(creators):
            watch(viewer, make_video(), f"{month}-05", 60)
        with CaptureQueriesContext(connection) as captured:
            (closing,) = close(month)
        assert len(closing.shares) == creators
        costs.append(len(captured))
    assert costs[1] <= costs[0]


def test_what_is_booked_for_the_invoices_of_a_batch_is_read_at_once(pay, make_user):
    """An invoice costs the statements that write its own rows, and no more to read."""
    written, read = [], []
    for moment, invoices in (("2026-08-01 00:00", 2), ("2026-08-02 00:00", 9)):
        for _ in range(invoices):
            pay(make_user(), moment)
        with at("2026-08-03 00:00"), CaptureQueriesContext(connection) as captured:
            assert pools.recognise(AUGUST, "USD") == invoices
        statements = [each["sql"] for each in captured if "payments_transfer" in each["sql"]]
        read.append(sum(sql.startswith("SELECT") for sql in statements))
        written.append(sum(sql.startswith("INSERT") for sql in statements))
    assert read == [1, 1]
    assert written == [2, 9]
    assert_books_balance()


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    @pytest.mark.promise("month-closed-once")
    def test_two_closes_share_once(self, pay, make_user, make_video):
        """Four closes at the same moment share the pool once."""
        for _ in range(3):
            viewer = make_user()
            pay(viewer)
            watch(viewer, make_video(), "2026-08-01", 60)
        with at("2026-09-03 00:00"):
            results = together([lambda: pools.close_month(AUGUST)] * 4)
        assert len({closing.pool.pk for (closing,) in results}) == 1
        assert len({tuple(sorted(shares(closing).items())) for (closing,) in results}) == 1
        assert Pool.objects.count() == JournalEntry.objects.filter(kind="pool").count() == 1
        assert JournalEntry.objects.filter(kind="recognition").count() == 3
        assert balances() == {"clearing:USD": -3000, "platform:USD": 600, "creator:USD": 2400}
        assert Transfer.objects.filter(entry__kind="pool").count() == 3
        assert pools.verify_month(AUGUST) == []

    def test_simultaneous_watch_time_adds_up(self, viewer, make_video):
        video = make_video(duration_seconds=1000)
        together([lambda: watch(viewer, video, "2026-08-01", 10)] * 16)
        row = WatchDaily.objects.get()
        assert (row.seconds, row.plan_seconds) == (160, 160)


def test_a_pool_cannot_be_stored_twice():
    told = {"period": "2026-08", "currency": "USD", "balance": 0, "amount": 0, "total_seconds": 0}
    Pool.objects.create(**told)
    with pytest.raises(IntegrityError):
        Pool.objects.create(**told)


def test_the_sandbox_bills_the_periods_of_these_tests(pay, viewer):
    """The sandbox bills 10.00 for a month of 31 days, as the tests of this file assume."""
    invoice = pay(viewer, "2026-08-22 15:00")
    assert SandboxPayment.objects.get().captured == invoice.amount == 1000
    assert (invoice.period_end - invoice.period_start).days == 31
