"""A pool counts the watch time of subscribers whose money of the month was not given back."""

import pytest

from config.tests import cases
from payments.gateways.sandbox import charging
from payments.models import Invoice, Plan, Pool, Subscription
from payments.periods import Month
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools
from payments.tests.kit import VISA, assert_books_balance
from payments.tests.months import AUGUST, OCTOBER, SEPTEMBER, at, watch
from videos.signals import worker_tick

pytestmark = [pytest.mark.django_db, pytest.mark.months]

API = "/api/v1/payments"
MUCH, LITTLE = 6000, 600  # seconds


@pytest.fixture
def plans(db):
    """Plans at 10.00 a month, and at 365.00 a year: 1.00 a day."""
    Plan.objects.filter(code="monthly").update(amount=1000)
    yearly = {"name": "Yearly", "amount": 36500, "interval": "year"}
    Plan.objects.create(code="yearly", currency="USD", **yearly)
    Plan.objects.create(code="euro", name="Euro", amount=1000, currency="EUR")
    Plan.objects.create(code="trial", name="Trial", amount=1000, currency="USD", trial_days=14)


@pytest.fixture
def world(settings, plans, client_for, make_user, make_video, admin):
    return World(settings, client_for, make_user, make_video, admin)


class World:
    """An honest subscriber and one whose money goes back, each with a creator, over the API."""

    def __init__(self, settings, client_for, make_user, make_video, admin):
        self.settings, self.client_for, self.admin = settings, client_for, admin
        self.honest, self.other = make_user(), make_user()
        self.theirs, self.others = (make_video(duration_seconds=7200) for _ in range(2))

    def subscribe(self, user, moment: str, plan: str = "monthly", card: str = VISA) -> None:
        with at(moment):
            body = {"plan": plan, **({"payment_method": card} if card else {})}
            answer = self.client_for(user).post(f"{API}/subscribe", body)
            assert answer.status_code == 201, answer.data

    def refund(self, user, moment: str, amount: str = "") -> None:
        """Refund the user's latest invoice, as an administrator."""
        invoice = Invoice.objects.filter(subscription__user=user).latest("pk")
        url = f"{API}/admin/invoices/{invoice.pk}/refund"
        with at(moment):
            answer = self.client_for(self.admin).post(url, {"amount": amount} if amount else {})
            assert answer.status_code == 200, answer.data

    def dispute(self, user, moment: str):
        invoice = Invoice.objects.filter(subscription__user=user).latest("pk")
        payment = invoice.payments.get()
        with at(moment):
            dispute = charging.open_dispute(payment.external_id)
            sync_payment(gateway="sandbox", external_id=payment.external_id)
        return dispute

    def win(self, dispute, moment: str, reinstated: int | None = None) -> None:
        with at(moment):
            amount = dispute.amount if reinstated is None else reinstated
            charging.close_dispute(dispute.pk, reinstated=amount)
            sync_payment(gateway="sandbox", external_id=dispute.payment_id)

    def watch(self, month: Month = AUGUST) -> None:
        """Let the honest subscriber watch a little of one creator, the other much of another."""
        watch(self.honest, self.theirs, f"{month}-10", LITTLE)
        watch(self.other, self.others, f"{month}-10", MUCH)

    def both_subscribe(self, moment: str = "2026-08-01 00:00") -> None:
        for user in (self.honest, self.other):
            self.subscribe(user, moment)

    def close(self, month: Month = AUGUST, currency: str = "USD") -> list[list[str]]:
        """Close a month and verify it. Return the shares of the honest one's and the other's creator,
        by each algorithm: "" without a share."""
        with at(f"{month.next()}-03 00:00"):
            client, url = self.client_for(self.admin), f"{API}/admin/pools/{month}/close"
            by_algorithm = []
            for self.settings.POOL_ALGORITHM in Pool.Algorithm.values:
                answer = client.post(f"{url}?dry_run=1")
                by_algorithm.append(self.shares(answer, currency))
            closed = client.post(url)
        assert self.shares(closed, currency) == by_algorithm[-1]
        assert pools.verify_month(month) == []
        assert_books_balance()
        return by_algorithm

    def shares(self, answer, currency: str) -> list[str]:
        assert answer.status_code == 200, answer.data
        (pool,) = (row for row in answer.data["pools"] if row["currency"] == currency)
        by_creator = {row["creator_id"]: row["amount"] for row in pool["shares"]}
        creators = [str(video.creator_id) for video in (self.theirs, self.others)]
        assert by_creator.keys() <= set(creators)
        return [by_creator.get(creator, "") for creator in creators]

    def tick(self) -> None:
        """Do the work of a worker's minute."""
        for _, outcome in worker_tick.send_robust(sender=None, every="minute"):
            assert not isinstance(outcome, Exception), outcome


@pytest.mark.promise("only-kept-money-earns")
@pytest.mark.parametrize("moment", ["2026-08-20 00:00", "2026-09-02 00:00"])
def test_a_refunded_subscriber_takes_nothing_from_the_others(world, moment):
    """A subscriber who got the money back before the close gives no creator a share."""
    world.both_subscribe()
    world.watch()
    world.refund(world.other, moment)
    assert world.close() == [["8.00", ""]] * 2


@pytest.mark.promise("only-kept-money-earns")
def test_a_disputed_subscriber_takes_nothing_until_the_money_is_back(world):
    """A subscriber whose payment is disputed at the close gives no creator a share; the money counts in
    the month in which it is back."""
    world.both_subscribe()
    dispute = world.dispute(world.other, "2026-08-20 00:00")
    world.watch()
    assert world.close() == [["8.00", ""]] * 2
    world.win(dispute, "2026-09-05 00:00")
    world.watch(SEPTEMBER)
    assert world.close(SEPTEMBER) == [["", "8.00"]] * 2


def test_a_dispute_that_was_won_before_the_close_changes_nothing(world):
    world.both_subscribe()
    world.watch()
    world.win(world.dispute(world.other, "2026-08-20 00:00"), "2026-08-25 00:00")
    assert world.close() == [["1.45", "14.55"], ["8.00", "8.00"]]


def test_a_lost_dispute_stays_lost(world):
    world.both_subscribe()
    world.watch()
    world.win(world.dispute(world.other, "2026-08-20 00:00"), "2026-08-25 00:00", reinstated=0)
    assert world.close() == [["8.00", ""]] * 2


@pytest.mark.promise("only-kept-money-earns")
def test_a_refund_after_the_close_is_carried_into_the_next_month(world):
    """A refund after the close leaves the closed month as it is: it takes the money from the pool of the
    month in which it happens, and the subscriber's watch time of that month counts for nothing."""
    world.subscribe(world.honest, "2026-08-01 00:00", "yearly")
    world.subscribe(world.other, "2026-08-16 00:00")  # 16 of the 31 days are in August
    world.watch()
    assert world.close() == [["2.63", "26.30"], ["24.80", "4.13"]]
    world.refund(world.other, "2026-09-05 00:00")
    world.watch(SEPTEMBER)
    assert pools.verify_month(AUGUST) == []
    assert world.close(SEPTEMBER) == [["19.87", ""]] * 2
    world.watch(OCTOBER)
    assert world.close(OCTOBER) == [["24.80", ""]] * 2
    for month in (AUGUST, SEPTEMBER, OCTOBER):
        assert pools.verify_month(month) == []


@pytest.mark.promise("only-kept-money-earns")
@pytest.mark.parametrize("moment", ["2026-08-20 00:00", "2026-09-02 00:00"])
def test_after_a_partial_refund_the_watch_time_weighs_like_the_money_that_stayed(world, moment):
    """A subscriber who got half of the money back gives their creators half of the weight."""
    world.both_subscribe()
    world.watch()
    world.refund(world.other, moment, "5.00")
    assert world.close() == [["2.00", "10.00"], ["8.00", "4.00"]]  # 600 s and 3000 s


@pytest.mark.promise("only-kept-money-earns")
@pytest.mark.parametrize("moment", ["2026-08-25 00:00", "2026-09-02 00:00"])
def test_a_cent_that_a_bank_has_left_weighs_like_a_cent(world, moment):
    """The bank keeps 9.99 of 10.00: a thousandth of the money has a thousandth of the weight."""
    world.both_subscribe()
    dispute = world.dispute(world.other, "2026-08-20 00:00")
    world.win(dispute, moment, reinstated=1)
    world.watch()
    assert world.close() == [["7.93", "0.08"], ["8.00", "0.01"]]  # 600 s and 6 s


def test_a_refund_in_parts_is_a_refund(world):
    world.both_subscribe()
    world.watch()
    for amount in ("5.00", "4.99", "0.01"):
        world.refund(world.other, "2026-08-20 00:00", amount)
    assert world.close() == [["8.00", ""]] * 2


def test_a_second_subscription_after_a_refund_counts(world):
    world.both_subscribe()
    world.refund(world.other, "2026-08-05 00:00")
    world.subscribe(world.other, "2026-08-05 01:00")
    world.watch()  # 5 to 31 August are 27 of the 31 days of the second period
    assert world.close() == [["1.36", "13.60"], ["8.00", "6.96"]]


@pytest.mark.promise("only-kept-money-earns")
def test_money_of_this_month_weighs_also_after_the_refund_of_an_earlier_one(world):
    """A year is refunded in September, and a month bought the same day and kept: the refund lessens
    September's pool, and the month weighs in it."""
    for user in (world.honest, world.other):
        world.subscribe(user, "2026-08-01 00:00", "yearly")
    world.watch()
    world.close()
    world.refund(world.other, "2026-09-04 00:00")
    world.subscribe(world.other, "2026-09-04 01:00")
    world.watch(SEPTEMBER)
    # 24.00 of the honest one and 7.20 of the other, less the 24.80 that August had earned.
    assert world.close(SEPTEMBER) == [["0.58", "5.82"], ["4.92", "1.48"]]
    assert pools.verify_month(AUGUST) == []


@pytest.mark.promise("only-kept-money-earns")
@pytest.mark.parametrize("price", [36_499, *cases.repeating([36_501, 36_700])])
@pytest.mark.parametrize("interval", ["year"])
def test_an_upgrade_moves_no_months_money_into_another(world, price, interval):
    """A year that is upgraded feeds twelve months like a year that is not: each with a twelfth of the
    money, and its payer weighs in each."""
    Plan.objects.filter(code="yearly").update(amount=min(36_500, price - 1))
    Plan.objects.create(code="dear", name="Dear", amount=price, currency="USD", interval=interval)
    for user in (world.honest, world.other):
        world.subscribe(user, "2026-08-01 00:00", "yearly")
    with at("2026-08-02 00:00"):
        client = world.client_for(world.other)
        answer = client.post(f"{API}/subscription/change", {"plan": "dear"})
        assert answer.status_code == 200, answer.data
    for month, balance in ((AUGUST, 4960), (SEPTEMBER, 4800), (OCTOBER, 4960)):
        world.watch(month)
        prorata, by_user = world.close(month)
        assert abs(Pool.objects.get(period=str(month)).amount - balance) <= 20
        shares = [float(share) for share in prorata]
        assert shares[1] == pytest.approx(10 * shares[0], rel=0.01)
        assert float(by_user[0]) == pytest.approx(float(by_user[1]), rel=0.01)


def test_all_of_an_upgraded_year_is_earned_when_its_new_period_ends(world):
    Plan.objects.create(code="dear", name="Dear", amount=40_000, currency="USD")  # a month
    world.subscribe(world.other, "2026-08-01 00:00", "yearly")
    with at("2026-08-16 12:00"):
        world.client_for(world.other).post(f"{API}/subscription/change", {"plan": "dear"})
    paid = Invoice.objects.order_by("period_start")
    unused, due = 36_500 - 1550, paid[1].amount
    assert abs(unused + due - 40_000) <= 1
    world.watch()
    world.close()
    august = 15 * 100 + (36_500 - 1500) * 16 // 31
    assert [row.recognised for row in paid.all()] == [august, due * 16 // 31]
    world.watch(SEPTEMBER)
    world.close(SEPTEMBER)
    assert [row.recognised for row in paid.all()][:2] == [36_500, due]


def test_a_trial_pays_nothing(world):
    world.subscribe(world.honest, "2026-08-01 00:00")
    world.subscribe(world.other, "2026-08-25 00:00", "trial", card="")
    world.watch()
    assert world.close() == [["8.00", ""]] * 2


def test_the_money_of_another_currency_counts_there_only(world):
    world.both_subscribe()
    world.refund(world.other, "2026-08-05 00:00")
    world.subscribe(world.other, "2026-08-05 01:00", "euro")
    world.watch()
    assert world.close(currency="EUR") == [["", "6.96"]] * 2
    assert Pool.objects.get(currency="USD").shares.get().creator_id == world.theirs.creator_id


def test_a_period_counts_in_each_of_its_months(world):
    world.both_subscribe("2026-08-31 23:00")  # 1 of 30 days in August
    world.watch()
    assert world.close() == [["0.05", "0.49"], ["0.27", "0.27"]]
    world.watch(SEPTEMBER)
    assert world.close(SEPTEMBER) == [["1.41", "14.05"], ["7.73", "7.73"]]


def test_a_month_that_is_not_paid_for_does_not_count(world):
    """The grace period after a renewal that failed, when the months before were paid."""
    world.subscribe(world.honest, "2026-08-01 00:00", "yearly")
    world.subscribe(world.other, "2026-08-01 00:00", card="pm_card_chargeCustomerFail")
    world.watch()
    world.close()
    with at("2026-09-01 01:00"):
        world.tick()
    assert Subscription.objects.get(user=world.other).status == "past_due"
    world.watch(SEPTEMBER)
    assert world.close(SEPTEMBER) == [["24.00", ""]] * 2


def test_a_month_closed_by_the_last_version_keeps_its_rule(world):
    """Until this version, all payments of a user were summed up, and seconds weighed in full."""
    world.both_subscribe()
    world.watch()
    world.refund(world.other, "2026-08-20 00:00", "5.00")
    world.close()
    Pool.objects.update(payers=Pool.Payers.KEPT)
    lines = pools.verify_month(AUGUST)
    assert any("total_seconds is stored as 3600, recomputed as 6600" in line for line in lines)


def test_a_month_closed_by_an_older_version_keeps_its_rule(world):
    """Before that, a paid invoice was enough, also after its refund."""
    world.both_subscribe()
    world.watch()
    world.refund(world.other, "2026-08-20 00:00")
    world.close()
    Pool.objects.update(payers=Pool.Payers.INVOICED)
    lines = pools.verify_month(AUGUST)
    assert any("total_seconds is stored as 600, recomputed as 6600" in line for line in lines)
