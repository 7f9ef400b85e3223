"""Random histories of sales, subscriptions, refunds, disputes, closes and payouts on the real database.

After every step the books must equal an independent computation from the facts.
"""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db.models import F, Sum
from django.utils import timezone

from config.money import creator_share
from config.tests import cases
from payments.books import verification
from payments.errors import PeriodNotOver
from payments.gateways.base import RefundRefused
from payments.gateways.sandbox import charging
from payments.models import (
    Dispute,
    Invoice,
    Order,
    Payment,
    Payout,
    Plan,
    Pool,
    Refund,
    SandboxDispute,
    SandboxRefund,
)
from payments.periods import Month
from payments.services.payouts import payouts
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools
from payments.services.subscribing import subscriptions
from payments.tests.kit import VISA, assert_books_balance, balances
from payments.tests.months import watch

FIRST = Month(2026, 1)
STEPS = {
    "sell": 4, "subscribe": 4, "refund": 4, "bounce": 2, "dispute": 2, "decide": 2, "wait": 6,
    "close": 3, "pay_out": 3, "settle": 3,
}  # fmt: skip


# Every history begins with these steps, so that each kind of step happens in each of them. A step is
# its name, the index of a video, plan or payment, and an amount in minor units.
BEGINNING = [
    *(("sell", video, 1999) for video in range(3)),
    ("subscribe", 2, 90),
    ("subscribe", 3, 90),
    ("dispute", 0, 1500),
    ("decide", 1, 700),
    ("refund", 1, 500),
    ("bounce", 0, 0),
    ("refund", 4, 300),
    *(("wait", 24, 0) for _ in range(3)),
    ("close", 0, 0),
    ("pay_out", 0, 0),
    ("settle", 1, 0),
    ("refund", 2, 1999),
]


class World:
    """The steps of a history, and the state of the books that must hold after each of them."""

    def __init__(self, clock, make_user, make_video, buy, admin):
        self.clock, self.make_user, self.make_video = clock, make_user, make_video
        self.buy, self.admin = buy, admin
        creators = [make_user("CREATOR") for _ in range(3)]
        self.videos = [make_video(creator=creator, price=1) for creator in creators]
        self.plans = ["monthly", "yearly"]
        self.month = FIRST

    def step(self, name: str, index: int, amount: int) -> None:
        with suppress(RefundRefused, PeriodNotOver):
            getattr(self, name)(index, amount)
        self.holds()

    def payment(self, index: int) -> Payment | None:
        """Return one of the payments so far; None if there is none."""
        payments = list(Payment.objects.order_by("pk"))
        return payments[index % len(payments)] if payments else None

    def sync(self, external_id: str) -> None:
        sync_payment(gateway="sandbox", external_id=external_id)

    # --- steps ----------------------------------------------------------------------------------

    def sell(self, index: int, amount: int) -> None:
        video = self.videos[index % 3]
        video.price = amount
        video.save(update_fields=["price"])
        self.buy(self.make_user(), video)

    def subscribe(self, index: int, amount: int) -> None:
        """Subscribe a new user to the monthly or yearly plan; the user watches on up to three days."""
        user = self.make_user()
        subscriptions.subscribe(user=user, plan_code=self.plans[index % 2], payment_method=VISA)
        for number in range(index % 4):
            day = timezone.now() + timedelta(days=9 * number)
            watch(user, self.videos[number % 3], f"{day:%Y-%m-%d}", 30 + amount % 150)

    def refund(self, index: int, amount: int) -> None:
        if (payment := self.payment(index)) is not None:
            key = f"outside:{SandboxRefund.objects.count()}"
            left = max(1, min(amount, payment.captured))
            charging.refund(payment_id=payment.external_id, amount=left, key=key)
            self.sync(payment.external_id)

    def bounce(self, index: int, amount: int) -> None:
        done = SandboxRefund.objects.filter(status="succeeded").order_by("pk")
        if (refund := done[index % 3 : index % 3 + 1].first()) is not None:
            SandboxRefund.objects.filter(pk=refund.pk).update(status="failed")
            self.sync(refund.payment_id)

    def dispute(self, index: int, amount: int) -> None:
        payment = self.payment(index)
        if payment is not None and not payment.disputes.exists():
            part = max(1, min(amount, payment.captured))
            charging.open_dispute(payment_id=payment.external_id, amount=part)
            self.sync(payment.external_id)

    def decide(self, index: int, amount: int) -> None:
        """Close an open dispute: won, lost, or won in part."""
        dispute = SandboxDispute.objects.filter(status="needs_response").first()
        if dispute is not None:
            charging.close_dispute(dispute.pk, reinstated=amount * (index % 2))
            self.sync(dispute.payment_id)

    def wait(self, index: int, amount: int) -> None:
        self.clock.shift(timedelta(days=1 + index % 25, minutes=amount))

    def close(self, index: int, amount: int) -> None:
        while True:  # until a month that is not over
            pools.close_month(self.month)
            assert pools.verify_month(self.month) == [] or not Pool.objects.filter(
                period=str(self.month)
            )
            self.month = self.month.next()

    def pay_out(self, index: int, amount: int) -> None:
        payouts.run()

    def settle(self, index: int, amount: int) -> None:
        open_ = Payout.objects.filter(status__in=Payout.IN_FLIGHT).order_by("pk")
        for number, payout in enumerate(open_):
            payouts.approve(payout_id=payout.pk, actor=self.admin)
            if (index + number) % 3:
                told = {"external_ref": f"SEPA-{payout.pk}"}
                payouts.mark_paid(payout_id=payout.pk, actor=self.admin, **told)
            else:
                payouts.mark_failed(payout_id=payout.pk, reason="", actor=self.admin)

    # --- checks ---------------------------------------------------------------------------------

    def holds(self) -> None:
        """Check every balance against a computation from payments, payouts and pools alone."""
        assert_books_balance()
        earned = distributed = deferred = in_pool = platform = lost = clearing = 0
        for payment in Payment.objects.select_related("order", "invoice"):
            back = refunded_of(payment) + disputed_of(payment)
            clearing += payment.captured - back
            left, beyond = max(0, payment.captured - back), max(0, back - payment.captured)
            lost += beyond
            if payment.order is not None:
                share = creator_share(left, payment.order.fee_bps)
                earned, platform = earned + share, platform + left - share
                continue
            invoice = payment.invoice
            assert invoice
            done = min(invoice.recognised, left)
            share = creator_share(done, invoice.fee_bps)
            in_pool, platform = in_pool + share, platform + done - share
            deferred += left - done
            assert 0 <= invoice.recognised <= invoice.amount
        paid = total(Payout.objects.filter(status="paid"))
        in_transit = total(Payout.objects.filter(status__in=Payout.IN_FLIGHT))
        distributed = total(Pool.objects.all())
        wanted = {
            "clearing:USD": -(clearing - paid),
            "creator:USD": earned + distributed - paid - in_transit,
            "deferred:USD": deferred,
            "losses:USD": -lost,
            "payout_transit:USD": in_transit,
            "platform:USD": platform,
            "pool:USD": in_pool - distributed,
        }
        assert balances() == {code: amount for code, amount in wanted.items() if amount}
        assert deferred >= 0

    def end(self) -> None:
        """Let a year pass: everything is earned, every month verifies, and the ledger check passes."""
        self.clock.shift(timedelta(days=400))
        with suppress(PeriodNotOver):
            self.close(0, 0)
        self.holds()
        assert "deferred:USD" not in balances()
        for month in Pool.objects.values_list("period", flat=True):
            assert pools.verify_month(Month.named(month)) == []
        check = verification.verify_ledger()
        assert check.discrepancies == 0, check.first


def total(rows) -> int:
    return rows.aggregate(total=Sum("amount"))["total"] or 0


def refunded_of(payment: Payment) -> int:
    return total(Refund.objects.filter(payment=payment, status__in=["pending", "succeeded"]))


def disputed_of(payment: Payment) -> int:
    rows = Dispute.objects.filter(payment=payment)
    return rows.aggregate(held=Sum(F("withdrawn") - F("reinstated")))["held"] or 0


@pytest.mark.long
@pytest.mark.sweep
@pytest.mark.promise("any-history-adds-up")
@pytest.mark.django_db
@pytest.mark.parametrize("seed", cases.some(1, range(2)))
def test_random_histories_add_up_at_every_step(make_user, make_video, buy, admin, seed):
    """Random histories of sales, invoices, refunds, disputes, closes and payouts add up at every
    step."""
    dice = random.Random(seed)  # noqa: S311 - the same lives in every run
    Plan.objects.create(code="yearly", name="Yearly", amount=9999, currency="USD", interval="year")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        world = World(clock, make_user, make_video, buy, admin)
        for step in BEGINNING:
            world.step(*step)
        for name in dice.choices(list(STEPS), list(STEPS.values()), k=25):
            world.step(name, dice.randrange(50), dice.randint(200, 2500))
        world.end()
    assert Order.objects.count() + Invoice.objects.count() == Payment.objects.count()
    # The history contained every kind of event.
    assert {"paid", "failed"} <= set(Payout.objects.values_list("status", flat=True))
    assert {"succeeded", "failed"} <= set(Refund.objects.values_list("status", flat=True))
    assert Pool.objects.filter(amount__gt=0).exists()
    assert Dispute.objects.filter(withdrawn__gt=F("reinstated"), reinstated__gt=0).exists()
