"""The books of random histories: captures, refunds, disputes, and repeated, stale and reordered news.

All histories of the same facts end at the same books, and the books balance after every step.
"""

import random
from contextlib import contextmanager
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config import money
from payments.books.reports import Period, platform_totals
from payments.gateways import sandbox
from payments.gateways.sandbox import charging
from payments.models import Order, SandboxDispute, SandboxPayment, SandboxRefund
from payments.services.settling.facts import sync_payment
from payments.tests.kit import assert_books_balance, balances, nothing_changes

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["refund", "refund", "fail", "dispute", "decide", "news"]),
        st.integers(0, 2),
        st.integers(1, 2500),
    ),
    min_size=1,
    max_size=14,
)


class World:
    """Three sales, the events at the gateway, and the gateway's answer after each event."""

    def __init__(self, orders: list[Order]):
        self.orders = orders
        self.ids = [order.payments.get().external_id for order in orders]
        self.past = {external_id: [charging.snapshot(external_id)] for external_id in self.ids}

    def happen(self, step: str, index: int, amount: int, number: int) -> None:
        external_id = self.ids[index]
        outside = SandboxPayment.objects.get(pk=external_id)
        counting = outside.refunds.exclude(status="failed")
        left = outside.captured - sum(counting.values_list("amount", flat=True))
        if step == "refund" and left:
            key = f"{external_id}:{number}"
            charging.refund(payment_id=external_id, amount=min(left, amount), key=key)
        elif step == "fail" and counting.exists():
            charging.resolve_refund(counting.latest("created_at").pk, succeeds=False)
        elif step == "dispute":
            charging.open_dispute(external_id, amount=min(outside.captured, amount), fee=15)
        elif step == "decide" and outside.disputes.exists():
            charging.close_dispute(outside.disputes.latest("pk").pk, reinstated=amount)
        self.past[external_id].append(charging.snapshot(external_id))

    def tell(self, external_id: str, snapshot=None) -> None:
        with answering(snapshot) if snapshot else _as_it_is():
            sync_payment(gateway="sandbox", external_id=external_id)
        assert_books_balance()
        assert_revenue_identity()

    def expected_books(self) -> dict[str, int]:
        books = dict.fromkeys(
            ["clearing:USD", "creator:USD", "platform:USD", "losses:USD", "fees:USD"], 0
        )
        for order, external_id in zip(self.orders, self.ids, strict=True):
            outside = SandboxPayment.objects.get(pk=external_id)
            back = sum(
                SandboxRefund.objects.filter(payment=outside)
                .exclude(status="failed")
                .values_list("amount", flat=True)
            )
            disputes = SandboxDispute.objects.filter(payment=outside)
            back += sum(d.withdrawn - d.reinstated for d in disputes)
            fees = sum(d.fee for d in disputes)
            net = max(0, outside.captured - back)
            share = money.creator_share(net, order.fee_bps)
            books["clearing:USD"] -= outside.captured - back - fees
            books["creator:USD"] += share
            books["platform:USD"] += net - share
            books["losses:USD"] -= max(0, back - outside.captured)
            books["fees:USD"] -= fees
        return {code: balance for code, balance in books.items() if balance}


@contextmanager
def answering(snapshot):
    """Make the gateway give an old answer, as a proxy's cache or a slow connection may do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox.SandboxGateway, "fetch_payment", lambda self, external_id: snapshot)
        yield


@contextmanager
def _as_it_is():
    yield


def assert_revenue_identity() -> None:
    """Assert that gross - refunds - disputes equals everything that the books hold, in each currency."""
    for row in map(asdict, platform_totals(Period())):
        assert row["gross"] - row["refunds"] - row["disputes"] == (
            row["creator_share"]
            + row["platform_share"]
            - row["losses"]
            - row["promotions"]
            + row["deferred"]
            + row["pool"]
            + row["owed_back"]
            + row["suspense"]
        )


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.sweep
@pytest.mark.promise("books-follow-facts", "revenue-identity")
@pytest.mark.django_db
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking a history takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=STEPS,
    prices=st.lists(st.integers(1, 2500), min_size=3, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_books_follow_facts_in_any_order(
    make_user, make_video, buy, steps, prices, order: random.Random
):
    """A history told three times, in any order and with stale answers, ends at the books of its
    facts."""
    already = balances()  # examples share the transaction of the test
    world = World([buy(make_user(), make_video(price=price)) for price in prices])
    for number, (step, index, amount) in enumerate(steps):
        world.happen(step, index, amount, number)
        if step == "news":
            world.tell(world.ids[index])
    news = [
        (external_id, snapshot)
        for external_id, past in world.past.items()
        for snapshot in past
        for _ in range(3)
    ]
    order.shuffle(news)
    for external_id, snapshot in news:
        world.tell(external_id, snapshot)
    for external_id in world.ids:
        world.tell(external_id)
    with nothing_changes():  # after the current answers, old ones must change nothing
        for external_id, snapshot in news[::3]:
            world.tell(external_id, snapshot)
        for external_id in world.ids:
            world.tell(external_id)
    now = balances()
    added = {
        code: now.get(code, 0) - already.get(code, 0)
        for code in now.keys() | already.keys()
        if now.get(code, 0) != already.get(code, 0)
    }
    assert added == world.expected_books()
