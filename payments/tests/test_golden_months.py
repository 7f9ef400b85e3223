"""The bytes of closed months: a release must give the shares and statements that an older one gave.

The months are made from a seed, with ids that are counted, so that their bytes are known. The digests
were computed with the code before closes were written in batches. A new digest would mean that a month
closed by the older release does not verify any more.
"""

import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import pytest

from accounts.models import User
from config.errors import DomainError
from config.tests import cases
from payments.gateways.sandbox import charging
from payments.models import (
    Coupon,
    Invoice,
    Order,
    Payout,
    Plan,
    Pool,
    PoolShare,
    Statement,
    Transfer,
)
from payments.periods import Month
from payments.services.buying import checkout
from payments.services.payouts import bodies, payouts, statements
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools
from payments.services.subscribing import subscriptions
from payments.tests.kit import VISA, assert_books_balance
from payments.tests.months import at, bounce, close, give_back, watch
from videos.models import Video

MONTHS = [Month(2026, number) for number in (7, 8, 9, 10)]
CURRENCIES = ("USD", "EUR", "JPY")


@pytest.fixture
def counted_ids(monkeypatch) -> None:
    """Give new users, videos and payouts the ids 1, 2, 3, …: the ids that statements name."""
    for model in (User, Video, Payout):
        made = (uuid.UUID(int=number << 64) for number in count(1))
        monkeypatch.setattr(model._meta.pk, "_get_default", made.__next__)


class Story:
    """Four months of sales, subscriptions, watch time, refunds, disputes and payouts from one seed."""

    def __init__(self, make_user, make_video, admin):
        self.dice = random.Random(2026)  # noqa: S311 - every run must make the same rows
        self.admin, self.make_user = admin, make_user
        self.invoices: list[Invoice] = []
        self.orders: list[Order] = []
        with at("2026-07-01 00:00"):
            self.videos = [
                make_video(price=price, currency=currency, duration_seconds=4000)
                for currency, price in (("USD", 1999), ("EUR", 777), ("JPY", 501))
                for _ in range(5)
            ]
            for currency, amount in zip(CURRENCIES, (999, 1500, 3000), strict=True):
                for interval in ("month", "year"):
                    Plan.objects.create(
                        code=f"{currency}-{interval}", name=interval, currency=currency,
                        amount=amount * (12 if interval == "year" else 1), interval=interval,
                    )  # fmt: skip
            for percent_bps, funded_by in ((10_000, "platform"), (3333, "platform")):
                Coupon.objects.create(
                    code=f"OFF{percent_bps}", percent_bps=percent_bps, funded_by=funded_by
                )

    def tell(self) -> Iterator[Month]:
        """Make the rows of each month and yield it when it is over."""
        for month in MONTHS:
            moments = sorted(
                month.start + timedelta(minutes=self.dice.randrange(60 * 24 * 28))
                for _ in range(24)
            )
            for moment in moments:
                with at(f"{moment:%Y-%m-%d %H:%M}"):
                    self.step(moment)
            yield month

    def step(self, moment: datetime) -> None:
        act = self.dice.choice([self.subscribe, self.buy, self.buy, self.watch, self.take_back])
        act(moment)

    def subscribe(self, moment: datetime) -> None:
        code = f"{self.dice.choice(CURRENCIES)}-{self.dice.choice(['month', 'month', 'year'])}"
        subscription, _ = subscriptions.subscribe(
            user=self.make_user(), plan_code=code, payment_method=VISA
        )
        self.invoices.append(subscription.invoices.get())
        self.watch(moment)

    def buy(self, moment: datetime) -> None:
        coupon = self.dice.choice(["", "", "OFF10000", "OFF3333"])
        order, _ = checkout.purchase(
            buyer=self.make_user(),
            video_id=self.dice.choice(self.videos).pk,
            options=checkout.PurchaseOptions(coupon=coupon, even_if_covered=True),
            payment_method=VISA,
        )
        self.orders.append(order)

    def watch(self, moment: datetime) -> None:
        for invoice in self.dice.sample(self.invoices, min(4, len(self.invoices))):
            for video in self.dice.sample(self.videos, 4):
                seconds = self.dice.choice([10, 31, 60, 601, 3600])
                watch(invoice.subscription.user, video, f"{moment:%Y-%m-%d}", seconds)

    def take_back(self, moment: datetime) -> None:
        text = f"{moment:%Y-%m-%d %H:%M}"
        if self.invoices and self.dice.random() < 0.5:
            invoice = self.invoices.pop(self.dice.randrange(len(self.invoices)))
            refund = give_back(invoice, self.dice.choice([invoice.amount, 100]), text)
            if self.dice.random() < 0.3:
                bounce(refund, text)
        elif self.orders:
            order = self.orders.pop(self.dice.randrange(len(self.orders)))
            if self.dice.random() < 0.3 and order.amount:
                paid = order.payments.get()
                charging.open_dispute(payment_id=paid.external_id)
                sync_payment(gateway="sandbox", external_id=paid.external_id)
                return
            amount = self.dice.choice([None, 50 if order.amount else None])
            try:
                refunds.refund_order(order_id=order.pk, amount=amount, reason="", actor=self.admin)
            except DomainError:
                assert not order.amount  # a free order is taken back in another way

    def pay_out(self, month: Month) -> None:
        """Pay the creators out after the month's close, and let some of the payouts fail."""
        with at(f"{month.next()}-20 00:00"):
            for number, payout in enumerate(payouts.run()):
                payouts.approve(payout_id=payout.pk, actor=self.admin)
                if number % 3:
                    payouts.mark_paid(
                        payout_id=payout.pk, external_ref=f"SEPA-{number}", actor=self.admin
                    )
                else:
                    payouts.mark_failed(payout_id=payout.pk, reason="", actor=self.admin)


def digest() -> str:
    """Return the hash of all pools, shares, statements and bookings of shares, to the byte."""
    rows = [
        *Pool.objects.order_by("period", "currency").values_list(
            "period", "currency", "balance", "amount", "total_seconds", "algorithm", "payers",
            "input_sha256",
        ),
        *PoolShare.objects.order_by("pool__period", "pool__currency", "creator").values_list(
            "pool__period", "pool__currency", "creator", "seconds", "amount"
        ),
        *Statement.objects.order_by("period", "currency", "creator").values_list(
            "period", "currency", "creator", "body", "sha256"
        ),
        *Transfer.objects.filter(entry__kind="pool")
        .order_by("entry__key", "credit__owner")
        .values_list(
            "entry__key", "entry__effective_at", "debit__code", "credit__code", "credit__kind",
            "amount", "currency", "available_on",
        ),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()


def assert_both_ways_give_the_same_bytes(monkeypatch) -> None:
    """Most statements show nothing but a share of the pool, and have a writer of their own."""
    written = []
    plain_writer = bodies.plain_writer

    def counting(*about):
        write = plain_writer(*about)

        def counted(*figures):
            written.append(figures)
            return write(*figures)

        return counted

    def computed() -> list[dict[str, str]]:
        return [
            statements.compute(month, currency, is_older=is_older)
            for month in MONTHS
            for currency in CURRENCIES
            for is_older in (False, True)
        ]

    monkeypatch.setattr(statements, "plain_writer", counting)
    quick = computed()
    monkeypatch.setattr(statements, "plain_writer", lambda *about: None)
    general = computed()
    assert quick == general
    assert 0 < len(written) < sum(map(len, general))


GOLDEN = {  # by the algorithm and the rule about payers
    ("prorata-v1", "kept"): "4b1d48604a7aa1719377c8038c0157c6412d38715660a6561e72e7d35081e93f",
    ("user-centric-v1", "kept"): "b2f0b9bfa3b8bb74a05fde4f5d0d39fabf62978242f0ba67abbd0b88f153fc16",
    ("prorata-v1", "stayed"): "85743b5dd051555e39d2112c7926cbcf556fdb88b4bf9628c4077dc36bfb7cba",
    (
        "user-centric-v1",
        "stayed",
    ): "d6669ca556f93cc7c73edc044f440d1502416114dc7197235b009e0c6d95d74d",
}


@pytest.mark.long
@pytest.mark.twice
@pytest.mark.django_db
@pytest.mark.parametrize(("algorithm", "rule"), cases.by_database([*GOLDEN]))
@pytest.mark.promise("statement-reproducible")
def test_closed_months_have_the_bytes_of_older_releases(
    counted_ids, algorithm, rule, settings, make_user, make_video, admin, monkeypatch
):
    """The shares, bookings and statements of four generated months are those of older releases, to the
    byte: both algorithms, three currencies, coupons, refunds, disputes, payouts, carried pools."""
    settings.POOL_ALGORITHM = algorithm
    monkeypatch.setattr(Pool._meta.get_field("payers"), "_get_default", lambda: rule)
    story = Story(make_user, make_video, admin)
    for month in story.tell():
        close(month)
        story.pay_out(month)
    for month in MONTHS:
        assert pools.verify_month(month) == []
    assert_both_ways_give_the_same_bytes(monkeypatch)
    assert_books_balance()
    held = Pool.objects.values_list("currency", "amount")
    assert {currency for currency, amount in held if amount} == set(CURRENCIES)
    assert {True, False} == {amount == 0 for _, amount in held}
    assert Statement.objects.count() > 30
    assert digest() == GOLDEN[algorithm, rule]
