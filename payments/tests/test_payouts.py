"""Payouts: requests, steps, approval, debts and simultaneous runs."""

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import AuditEntry
from payments.errors import NoDebt, NothingToPayOut, PayoutNotOpen, SamePerson
from payments.ledger import posting
from payments.models import JournalEntry, Payout
from payments.services.payouts import payouts
from payments.services.payouts.waiting import OVERDUE_AFTER, overdue
from payments.services.settling import refunds
from payments.signals import payout_changed
from payments.tests.kit import Killed, assert_books_balance, balances, nothing_changes, together
from payments.tests.months import at

pytestmark = pytest.mark.django_db
SOLD, RIPE = "2026-08-01 00:00", "2026-08-20 00:00"


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999)


@pytest.fixture
def sale(video, make_user, buy):
    with at(SOLD):
        return buy(make_user(), video)


@pytest.fixture
def payout(sale, creator):
    with at(RIPE):
        (made,) = payouts.request(creator)
    return made


@pytest.fixture
def approved(payout, admin):
    return payouts.approve(payout_id=payout.pk, actor=admin)


class TestAsking:
    def test_a_payout_sets_the_money_aside_at_once(self, payout, creator):
        assert (payout.amount, payout.currency, payout.status) == (1600, "USD", "draft")
        assert balances() == {
            "clearing:USD": -1999,
            "platform:USD": 399,
            "payout_transit:USD": 1600,
        }
        assert payouts.available(creator.pk) == {
            "USD": {
                "balance": 0, "pending": 0, "available": 0, "in_transit": 1600, "negative": 0,
            }
        }  # fmt: skip
        assert JournalEntry.objects.get(payout=payout).key == f"payout:{payout.pk}:start"
        assert AuditEntry.objects.get(action="payout.requested").actor_id == creator.pk

    @pytest.mark.promise("payout-waits-for-hold-and-minimum")
    def test_earnings_in_their_hold_are_not_paid_out(self, sale, creator):
        """Earnings in their hold are pending, and no payout is made of them until the hold has ended."""
        with at("2026-08-14 23:59"):
            assert payouts.available(creator.pk)["USD"] == {
                "balance": 1600, "pending": 1600, "available": 0, "in_transit": 0, "negative": 0,
            }  # fmt: skip
            with nothing_changes(), pytest.raises(NothingToPayOut):
                payouts.request(creator)
            assert payouts.run() == []
        with at("2026-08-15 00:00"):
            assert payouts.available(creator.pk)["USD"]["available"] == 1600
            assert len(payouts.run()) == 1

    @pytest.mark.promise("payout-waits-for-hold-and-minimum")
    @pytest.mark.parametrize(("minimum", "made"), [("16", 1), ("16.00", 1), ("16.01", 0)])
    def test_a_balance_below_the_minimum_is_not_paid_out(
        self, sale, creator, settings, minimum, made
    ):
        """A balance below PAYOUT_MINIMUM makes no payout; a balance of exactly the minimum makes one."""
        settings.PAYOUT_MINIMUM = minimum
        with at(RIPE):
            assert len(payouts.run()) == made

    @pytest.mark.parametrize(
        ("setting", "currency", "minor"),
        [("10", "USD", 1000), ("10", "JPY", 10), ("0.5", "JPY", 1), ("0", "USD", 1)],
    )
    def test_the_minimum_is_converted_to_minor_units(self, settings, setting, currency, minor):
        settings.PAYOUT_MINIMUM = setting
        assert payouts.minimum(currency) == minor

    def test_a_creator_has_one_open_payout_for_each_currency(
        self, payout, video, make_user, buy, creator
    ):
        with at("2026-09-01 00:00"):
            buy(make_user(), video)
        with at("2026-10-01 00:00"):
            with nothing_changes(), pytest.raises(NothingToPayOut):
                payouts.request(creator)
            assert payouts.run() == []
        with pytest.raises(IntegrityError), transaction.atomic():
            Payout.objects.create(creator=creator, currency="USD", amount=1, cutoff=timezone.now())

    def test_each_currency_has_a_payout_of_its_own(self, sale, creator, make_video, make_user, buy):
        with at(SOLD):
            buy(make_user(), make_video(creator=creator, price=3000, currency="JPY"))
        with at(RIPE):
            made = payouts.request(creator)
        assert {(p.currency, p.amount) for p in made} == {("USD", 1600), ("JPY", 2400)}


class TestThePath:
    def test_a_paid_payout_leaves_the_books(self, approved, admin, creator):
        payouts.mark_processing(payout_id=approved.pk, actor=admin)
        paid = payouts.mark_paid(payout_id=approved.pk, external_ref="SEPA-1", actor=admin)
        assert (paid.status, paid.external_ref, paid.approved_by) == ("paid", "SEPA-1", admin)
        assert balances() == {"clearing:USD": -399, "platform:USD": 399}
        assert payouts.available(creator.pk)["USD"]["in_transit"] == 0
        with nothing_changes():  # told again
            assert (
                payouts.mark_paid(payout_id=approved.pk, external_ref="SEPA-1", actor=admin).status
                == "paid"
            )
        trail = AuditEntry.objects.filter(target_id=str(paid.pk)).order_by("id")
        assert list(trail.values_list("action", flat=True)) == [
            "payout.requested", "payout.approved", "payout.sent", "payout.settled",
        ]  # fmt: skip

    @pytest.mark.promise("failed-payout-returns")
    def test_a_payout_that_fails_is_in_the_balance_again(self, approved, admin, creator):
        """A payout that fails is in the creator's balance again and can be requested once more."""
        payouts.mark_failed(payout_id=approved.pk, reason="no such account", actor=admin)
        assert balances() == {"clearing:USD": -1999, "platform:USD": 399, "creator:USD": 1600}
        with at(RIPE):
            assert payouts.available(creator.pk)["USD"]["available"] == 1600
            assert payouts.request(creator)[0].amount == 1600

    @pytest.mark.parametrize("stage", ["draft", "approved"])
    def test_a_payout_can_be_taken_back_before_it_is_on_its_way(self, payout, admin, stage):
        if stage == "approved":
            payouts.approve(payout_id=payout.pk, actor=admin)
        assert payouts.cancel(payout_id=payout.pk, actor=admin).status == "canceled"
        assert balances()["creator:USD"] == 1600

    @pytest.mark.parametrize(
        ("status", "refused"),
        [
            ("draft", {"processing", "paid", "failed"}),
            ("approved", {"approve"}),
            ("processing", {"approve", "processing", "cancel"}),
            ("paid", {"approve", "processing", "paid", "failed", "cancel"}),
            ("failed", {"approve", "processing", "paid", "failed", "cancel"}),
            ("canceled", {"approve", "processing", "paid", "failed", "cancel"}),
        ],
    )
    def test_a_step_out_of_order_is_refused(self, payout, admin, status, refused):
        Payout.objects.update(status=status)
        steps = {
            "approve": lambda: payouts.approve(payout_id=payout.pk, actor=admin),
            "processing": lambda: payouts.mark_processing(payout_id=payout.pk, actor=admin),
            "paid": lambda: payouts.mark_paid(payout_id=payout.pk, external_ref="x", actor=admin),
            "failed": lambda: payouts.mark_failed(payout_id=payout.pk, reason="", actor=admin),
            "cancel": lambda: payouts.cancel(payout_id=payout.pk, actor=admin),
        }
        for step in sorted(refused):
            with nothing_changes(), pytest.raises(PayoutNotOpen):
                steps[step]()
            assert Payout.objects.get().status == status

    @pytest.mark.promise("payout-needs-second-person")
    def test_neither_the_requester_nor_the_creator_approves_a_payout(
        self, payout, creator, admin, make_user
    ):
        """Neither the requester nor the payout's creator can approve the payout, not even by SQL."""
        with pytest.raises(SamePerson):
            payouts.approve(payout_id=payout.pk, actor=creator)
        Payout.objects.update(requested_by=admin)
        for person in (admin, creator):
            with pytest.raises(SamePerson):
                payouts.approve(payout_id=payout.pk, actor=person)
        assert Payout.objects.get().status == "draft"
        with pytest.raises(IntegrityError), transaction.atomic():
            Payout.objects.update(approved_by=admin)
        assert payouts.approve(payout_id=payout.pk, actor=make_user("ADMIN")).status == "approved"

    def test_any_administrator_approves_a_payout_of_the_command_line(self, sale, admin):
        with at(RIPE):
            (made,) = payouts.run()
        assert made.requested_by is None
        assert payouts.approve(payout_id=made.pk, actor=admin).status == "approved"

    def test_a_payout_is_overdue_after_exactly_its_time(self, payout, admin):
        with time_machine.travel(payout.created_at + OVERDUE_AFTER, tick=False):
            assert list(overdue()) == [payout]
            payouts.approve(payout_id=payout.pk, actor=admin)
            assert list(overdue()) == []
        since = Payout.objects.get().approved_at
        assert since is not None
        with time_machine.travel(since + OVERDUE_AFTER, tick=False):
            assert list(overdue()) == [payout]

    @pytest.fixture(params=["paid", "failed"])
    def step(self, request, approved, admin):
        """A step of the approved payout that books something."""
        if request.param == "paid":
            return partial(payouts.mark_paid, payout_id=approved.pk, external_ref="x", actor=admin)
        return partial(payouts.mark_failed, payout_id=approved.pk, reason="", actor=admin)

    def test_a_receiver_that_fails_undoes_the_step(self, step):
        def fail(**kwargs):
            raise Killed

        payout_changed.connect(fail)
        try:
            with nothing_changes(), pytest.raises(Killed):
                step()
        finally:
            payout_changed.disconnect(fail)
        assert Payout.objects.get().status == "approved"

    def test_a_step_that_cannot_be_booked_is_not_made(self, step, monkeypatch):
        def fail(*arguments, **options):
            raise Killed

        monkeypatch.setattr(posting, "post", fail)
        with nothing_changes(), pytest.raises(Killed):
            step()
        assert Payout.objects.get().status == "approved"

    def test_one_reference_of_the_bank_may_pay_several_payouts(
        self, sale, creator, make_user, make_video, buy, admin
    ):
        """A bank's batch has one reference. Repeating it is about the same payout only."""
        with at(SOLD):
            buy(make_user(), make_video(creator=make_user("CREATOR"), price=1999))
        with at(RIPE):
            made = payouts.run()
        for each in made:
            payouts.approve(payout_id=each.pk, actor=admin)

        for each in made * 2:
            paid = payouts.mark_paid(payout_id=each.pk, external_ref="batch-7", actor=admin)
            assert paid.pk == each.pk

        assert len(made) == 2
        assert set(Payout.objects.values_list("status", flat=True)) == {"paid"}


class TestDebts:
    @pytest.fixture
    def owing(self, approved, sale, admin):
        """A debt of 1600: the sale was refunded after its earnings had been paid out."""
        payouts.mark_paid(payout_id=approved.pk, external_ref="SEPA-1", actor=admin)
        with at("2026-08-21 00:00"):
            refunds.refund_order(order_id=sale.pk, amount=None, reason="", actor=admin)

    @pytest.mark.promise("refund-after-payout-becomes-debt")
    def test_a_refund_after_the_payout_becomes_a_debt_that_sales_fill(
        self, owing, creator, video, make_user, buy
    ):
        """A refund after the payout makes the balance negative; later sales fill it before the
        next payout."""
        with at(RIPE):
            money = payouts.available(creator.pk)["USD"]
            assert (money["balance"], money["available"], money["negative"]) == (-1600, 0, 1600)
            assert payouts.run() == []
        with at("2026-09-01 00:00"):
            buy(make_user(), video), buy(make_user(), video)
        with at("2026-09-30 00:00"):
            (made,) = payouts.run()
        assert made.amount == 1600  # of 3200
        assert_books_balance()

    def test_a_debt_can_be_written_off_once(self, owing, creator, admin):
        assert payouts.write_off(creator_id=creator.pk, currency="USD", actor=admin) == 1600
        assert balances() == {"clearing:USD": 1600, "bad_debt:USD": -1600}
        with nothing_changes(), pytest.raises(NoDebt):
            payouts.write_off(creator_id=creator.pk, currency="USD", actor=admin)
        assert AuditEntry.objects.get(action="debt.written_off").data["amount"] == 1600

    def test_only_debts_are_written_off(self, sale, creator, admin):
        for currency in ("USD", "EUR"):
            with nothing_changes(), pytest.raises(NoDebt):
                payouts.write_off(creator_id=creator.pk, currency=currency, actor=admin)

    @pytest.mark.promise("payouts-never-exceed-earnings")
    def test_payouts_never_exceed_the_earnings(self, owing, creator, admin, video, make_user, buy):
        """Payouts add up to the earnings that are past their hold, less the earnings that were
        refunded."""
        moment = timezone.now().replace(year=2026, month=9, day=1)
        for step in range(4):
            with at(f"{moment + timedelta(days=20 * step):%Y-%m-%d} 00:00"):
                for made in payouts.run():
                    payouts.approve(payout_id=made.pk, actor=admin)
                    payouts.mark_paid(payout_id=made.pk, external_ref=f"S{step}", actor=admin)
                buy(make_user(), video)
        paid = sum(Payout.objects.filter(status="paid").values_list("amount", flat=True))
        assert paid == 1600 + 2 * 1600  # five sales, one given back, one in its hold
        assert payouts.available(creator.pk)["USD"]["balance"] == 1600


class TestRuns:
    @pytest.fixture
    def creators(self, make_user, make_video, buy):
        with at(SOLD):
            for _ in range(3):
                buy(make_user(), make_video(price=1999))

    def test_a_run_that_is_killed_is_continued(self, creators):
        def die(done, total):
            if done == 2:
                raise Killed

        with at(RIPE):
            with pytest.raises(Killed):
                payouts.run(on_step=die)
            assert Payout.objects.count() == 2
            assert len(payouts.run()) == 1
            with nothing_changes():
                assert payouts.run() == []
        assert balances()["payout_transit:USD"] == 4800
        assert "creator:USD" not in balances()

    @pytest.mark.promise("simultaneous-payout-runs")
    @pytest.mark.django_db(transaction=True)
    def test_two_runs_at_once_make_one_payout_each(self, creators):
        """Four payout runs at the same moment make one payout for each creator."""
        with at(RIPE):
            made = together([payouts.run] * 4)
        assert sum(map(len, made)) == Payout.objects.count() == 3
        assert balances()["payout_transit:USD"] == 4800
        assert_books_balance()

    @pytest.mark.django_db(transaction=True)
    def test_paid_and_failed_at_once_end_in_one_status(self, payout, admin):
        payouts.approve(payout_id=payout.pk, actor=admin)

        def settle(step):
            try:
                return step().status
            except PayoutNotOpen:
                return "refused"

        paid = lambda: payouts.mark_paid(  # noqa: E731
            payout_id=payout.pk, external_ref="a", actor=admin
        )
        failed = lambda: payouts.mark_failed(  # noqa: E731
            payout_id=payout.pk, reason="", actor=admin
        )
        outcomes = together([lambda: settle(paid), lambda: settle(failed)] * 4)
        final = Payout.objects.get().status
        assert set(outcomes) <= {final, "refused"}
        assert JournalEntry.objects.filter(payout=payout).count() == 2
        assert "payout_transit:USD" not in balances()
