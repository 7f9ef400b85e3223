"""Any history of captures, refunds and repeated news ends at the same books."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config import money
from payments.errors import RefundTooLarge
from payments.models import Order, SandboxPayment, SandboxRefund
from payments.reports import Period, platform_totals
from payments.services import refunds
from payments.services.settlement import sync_payment
from payments.tests.kit import assert_books_balance, balances, nothing_changes

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["refund", "outside", "sync", "sync", "all"]),
        st.integers(0, 2),
        st.integers(1, 2500),
    ),
    min_size=1,
    max_size=12,
)


def expected_books(orders: list[Order]) -> dict[str, int]:
    books = {"clearing:USD": 0, "creator:USD": 0, "platform:USD": 0}
    for order in orders:
        payment = order.payments.get()
        back = sum(payment.refunds.filter(status="succeeded").values_list("amount", flat=True))
        net = payment.captured - back
        share = money.creator_share(net, order.fee_bps)
        books["clearing:USD"] -= net
        books["creator:USD"] += share
        books["platform:USD"] += net - share
    return {code: balance for code, balance in books.items() if balance}


def refund_what_we_can(order: Order, amount: int | None, admin) -> None:
    """The gateway refuses what somebody else has given back, unheard of by us."""
    with suppress(RefundTooLarge):
        refunds.refund_order(order_id=order.pk, amount=amount, reason="", actor=admin)


def assert_revenue_identity() -> None:
    for row in platform_totals(Period()):
        assert row["gross"] - row["refunds"] - row["disputes"] == (
            row["creator_share"]
            + row["platform_share"]
            - row["losses"]
            + row["deferred"]
            + row["suspense"]
        )


@pytest.mark.django_db
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking a history takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, prices=st.lists(st.integers(1, 2500), min_size=3, max_size=3))
def test_books_follow_facts_in_any_order(make_user, make_video, buy, admin, steps, prices):
    already = balances()  # examples share the transaction of the test
    orders = [buy(make_user(), make_video(price=price)) for price in prices]
    for number, (step, index, amount) in enumerate(steps):
        order = orders[index]
        payment = order.payments.get()
        outside = SandboxPayment.objects.get(pk=payment.external_id)
        left = outside.captured - sum(outside.refunds.values_list("amount", flat=True))
        if step == "refund" and left:
            refund_what_we_can(order, min(left, amount), admin)
        elif step == "all" and left:
            refund_what_we_can(order, None, admin)
        elif step == "outside" and left:  # news of it comes with a later sync, or never
            SandboxRefund.objects.create(
                id=f"sbr_{order.pk}_{number}",
                idempotency_key=f"{order.pk}:{number}",
                payment=outside,
                amount=min(left, amount),
            )
            continue
        sync_payment(gateway="sandbox", external_id=outside.pk)
        assert_books_balance()
        with nothing_changes():
            sync_payment(gateway="sandbox", external_id=outside.pk)
    for order in reversed(orders):
        sync_payment(gateway="sandbox", external_id=order.payments.get().external_id)
        order.refresh_from_db()
        counting = order.payments.get().refunds.filter(status="succeeded")
        back = sum(counting.values_list("amount", flat=True))
        assert order.status == ("refunded" if back == order.amount else "paid")
    now = balances()
    added = {
        code: now.get(code, 0) - already.get(code, 0)
        for code in now.keys() | already.keys()
        if now.get(code, 0) != already.get(code, 0)
    }
    assert added == expected_books(orders)
    assert_revenue_identity()
