"""Reading Stripe's JSON, in the shapes before and since its Basil release (2025-03-31)."""

from datetime import UTC, datetime

import pytest

from payments.gateways.base import DisputeSnapshot, RefundSnapshot
from payments.gateways.stripe import invoices as stripe_invoices
from payments.gateways.stripe import mapping
from payments.models import Dispute, Invoice, Payment, Refund, Subscription

BEGIN, END = 1_790_000_000, 1_792_592_000


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def intent(**fields) -> dict:
    return {
        "id": "pi_1", "object": "payment_intent", "amount": 1999, "amount_received": 1999,
        "currency": "usd", "status": "succeeded", "metadata": {"order_id": "order-1"},
        "latest_charge": "ch_1", "next_action": None, "last_payment_error": None,
    } | fields  # fmt: skip


def movement(amount: int, *, fee: int = 0, currency: str = "usd") -> dict:
    return {"id": "txn_1", "amount": amount, "fee": fee, "currency": currency, "net": amount - fee}


def dispute(*movements: dict, **fields) -> DisputeSnapshot:
    row = {
        "id": "dp_1", "object": "dispute", "amount": 1999, "currency": "usd", "status": "lost",
        "reason": "fraudulent", "evidence_details": {"due_by": END},
        "balance_transactions": list(movements),
    } | fields  # fmt: skip
    return mapping.dispute(row, intent())


def invoice(**fields) -> dict:
    return {
        "id": "in_1", "object": "invoice", "status": "paid", "total": 999, "amount_due": 999,
        "currency": "usd", "period_start": BEGIN, "period_end": BEGIN,
        "lines": {"data": [line(999, BEGIN, END)]},
        "parent": {
            "type": "subscription_details", "subscription_details": {"subscription": "sub_1"},
        },
        "payments": {"data": [
            {"object": "invoice_payment",
             "payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
        ]},
    } | fields  # fmt: skip


def line(amount: int, start: int, end: int) -> dict:
    return {"amount": amount, "period": {"start": start, "end": end}}


def subscription(invoices=(), schedule=None, **fields):
    price = {"id": "price_1", "metadata": {"plan_code": "basic"}}
    item = {"id": "si_1", "price": price, "current_period_start": BEGIN, "current_period_end": END}
    row = {
        "id": "sub_1", "object": "subscription", "status": "active",
        "items": {"data": [item]}, "metadata": {"subscription_id": "sub-1"},
        "cancel_at_period_end": False, "cancel_at": None, "ended_at": None,
        "cancellation_details": {"reason": None},
    } | fields  # fmt: skip
    return mapping.subscription(row, invoices, schedule)


# --- payments ---


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("requires_payment_method", None, "created"),
        ("requires_payment_method", {"code": "card_declined"}, "failed"),
        ("requires_confirmation", None, "created"),
        ("requires_action", None, "requires_action"),
        ("processing", None, "processing"),
        ("requires_capture", None, "processing"),
        ("succeeded", {"code": "card_declined"}, "captured"),
        ("canceled", None, "canceled"),
        ("something_new", None, "processing"),
    ],
)
def test_the_status_of_a_payment(status, error, expected):
    payment = mapping.payment(intent(status=status, last_payment_error=error))

    assert payment.status == expected
    assert payment.captured == (1999 if expected == "captured" else 0)
    assert payment.decline_code == ("card_declined" if expected == "failed" else "")


def test_every_status_is_one_of_ours():
    assert {*mapping.PAYMENT_STATUS.values(), "failed"} == set(Payment.Status)
    assert set(mapping.REFUND_STATUS.values()) == set(Refund.Status) - {"requested"}
    assert set(mapping.DISPUTE_STATUS.values()) == set(Dispute.Status)
    assert {*mapping.SUBSCRIPTION_STATUS.values(), "expired"} == set(Subscription.Status)
    assert set(stripe_invoices.STATUS.values()) == set(Invoice.Status)


def test_the_banks_decline_code_is_preferred():
    error = {"code": "card_declined", "decline_code": "insufficient_funds"}
    payment = mapping.payment(intent(status="requires_payment_method", last_payment_error=error))

    assert payment.decline_code == "insufficient_funds"


@pytest.mark.parametrize(
    ("received", "captured"), [(1999, 1999), (1500, 1500), (0, 0), (None, 1999)]
)
def test_the_received_amount_is_the_captured_one(received, captured):
    assert mapping.payment(intent(amount_received=received)).captured == captured


@pytest.mark.parametrize(
    ("charge", "fee"),
    [
        (None, 0),
        ("ch_1", 0),
        ({"id": "ch_1"}, 0),
        ({"id": "ch_1", "balance_transaction": "txn_1"}, 0),
        ({"id": "ch_1", "balance_transaction": movement(1999, fee=88)}, 88),
        ({"id": "ch_1", "balance_transaction": movement(1800, fee=80, currency="eur")}, 0),
    ],
)
def test_the_fee_is_read_from_an_expanded_charge_only(charge, fee):
    assert mapping.payment(intent(latest_charge=charge)).fee == fee


@pytest.mark.parametrize(
    ("action", "url"),
    [
        ({"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank/"}}, "https://bank/"),
        ({"type": "use_stripe_sdk", "use_stripe_sdk": {}}, ""),
        (None, ""),
    ],
)
def test_where_the_buyer_authenticates(action, url):
    waiting = intent(status="requires_action", next_action=action)

    assert mapping.payment(waiting).action_url == url
    assert mapping.payment(intent(next_action=action)).action_url == ""


def test_an_invoice_can_be_authenticated_on_its_page():
    waiting = intent(status="requires_action", metadata={})

    payment = mapping.payment(waiting, invoice=invoice(hosted_invoice_url="https://invoice/"))

    assert payment.action_url == "https://invoice/"


@pytest.mark.parametrize(
    "paid",
    [
        invoice(),
        invoice(parent={"subscription_details": {"subscription": {"id": "sub_1"}}}),
        invoice(parent=None, subscription="sub_1"),
        invoice(parent=None, subscription={"id": "sub_1"}),
    ],
)
def test_the_subscription_of_a_payment(paid):
    payment = mapping.payment(intent(metadata={}), invoice=paid)

    assert (payment.order_id, payment.invoice_id, payment.subscription_id) == ("", "in_1", "sub_1")


def test_unknown_fields_are_ignored():
    bare = {"id": "pi_1", "amount": 1, "currency": "thb", "status": "succeeded", "new": {"a": [1]}}

    payment = mapping.payment(bare)

    assert (payment.captured, payment.currency, payment.order_id) == (1, "THB", "")


# --- refunds and disputes ---


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", "pending"),
        ("requires_action", "pending"),
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        (None, "pending"),
        ("something_new", "pending"),
    ],
)
def test_the_status_of_a_refund(status, expected):
    row = {
        "id": "re_1", "amount": 500, "currency": "usd", "status": status,
        "metadata": {"key": "refund:1"},
    }  # fmt: skip

    assert mapping.refund(row) == RefundSnapshot("re_1", 500, expected, "refund:1")


def test_a_refund_made_elsewhere_has_no_key():
    row = {"id": "re_1", "amount": 500, "currency": "isk", "status": "succeeded", "metadata": None}

    assert mapping.refund(row) == RefundSnapshot("re_1", 5, Refund.Status.SUCCEEDED, "")


@pytest.mark.parametrize(
    ("movements", "withdrawn", "reinstated", "fee"),
    [
        ([], 0, 0, 0),
        ([movement(-1999, fee=1500)], 1999, 0, 1500),
        ([movement(-1999, fee=1500), movement(1999)], 1999, 1999, 1500),
        ([movement(-1999, fee=1500), movement(1999, fee=-1500)], 1999, 1999, 0),
        ([movement(-1999, fee=1500), movement(700)], 1999, 700, 1500),
        ([movement(-1000), movement(-999)], 1999, 0, 0),
        ([movement(-1000), movement(1200)], 1000, 1000, 0),
        # The balance is in another currency: take the same fraction of the disputed amount.
        ([movement(-1800, fee=1300, currency="eur")], 1999, 0, 0),
        ([movement(-1800, currency="eur"), movement(1800, currency="eur")], 1999, 1999, 0),
        ([movement(-1800, currency="eur"), movement(900, currency="eur")], 1999, 1000, 0),
    ],
)
@pytest.mark.parametrize("status", ["lost", "won", "needs_response"])
def test_a_dispute_counts_balance_movements_only(movements, withdrawn, reinstated, fee, status):
    snapshot = dispute(*movements, status=status)

    assert (snapshot.withdrawn, snapshot.reinstated, snapshot.fee) == (withdrawn, reinstated, fee)
    assert (snapshot.status, snapshot.amount, snapshot.reason) == (status, 1999, "fraudulent")
    assert snapshot.evidence_due == moment(END)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("warning_needs_response", "warning"),
        ("warning_under_review", "warning"),
        ("warning_closed", "closed"),
        ("prevented", "closed"),
        ("appeal_under_review", "under_review"),
        ("something_new", "under_review"),
    ],
)
def test_the_status_of_a_dispute_that_took_no_money(status, expected):
    snapshot = dispute(status=status, evidence_details=None, reason=None)

    assert (snapshot.status, snapshot.withdrawn, snapshot.evidence_due) == (expected, 0, None)
    assert snapshot.reason == ""


# --- checkouts ---


@pytest.mark.parametrize(
    ("status", "payment_status", "expected"),
    [
        ("open", "unpaid", "open"),
        ("complete", "unpaid", "open"),
        ("complete", "paid", "complete"),
        ("complete", "no_payment_required", "complete"),
        ("expired", "unpaid", "expired"),
    ],
)
def test_a_page_is_complete_when_it_is_paid(status, payment_status, expected):
    session = {"id": "cs_1", "status": status, "payment_status": payment_status, "url": None}

    assert mapping.checkout(session).status == expected


@pytest.mark.parametrize("payment", ["pi_1", {"id": "pi_1", "status": "succeeded"}])
def test_a_checkout_names_its_payment(payment):
    session = {"id": "cs_1", "status": "complete", "payment_status": "paid"}
    checkout = mapping.checkout(session | {"payment_intent": payment, "subscription": None})

    assert (checkout.payment_id, checkout.subscription_id, checkout.url) == ("pi_1", "", "")


# --- subscriptions ---


def test_a_subscription_is_read_in_the_current_shape():
    snapshot = subscription()

    assert (snapshot.external_id, snapshot.reference, snapshot.plan_code) == (
        "sub_1",
        "sub-1",
        "basic",
    )
    assert (snapshot.period_start, snapshot.period_end) == (moment(BEGIN), moment(END))
    assert not snapshot.cancel_at_period_end


def test_a_subscription_is_read_in_the_shape_before_basil():
    item = {"id": "si_1", "plan": {"id": "basic", "metadata": {}}}
    snapshot = subscription(
        items={"data": [item]}, current_period_start=BEGIN, current_period_end=END
    )

    assert (snapshot.period_start, snapshot.period_end) == (moment(BEGIN), moment(END))
    assert snapshot.plan_code == "basic"


def test_the_plan_is_read_from_the_price_before_the_metadata():
    assert subscription(metadata={"plan_code": "of last year"}).plan_code == "basic"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("incomplete", None, "incomplete"),
        ("incomplete_expired", None, "incomplete_expired"),
        ("trialing", None, "trialing"),
        ("active", None, "active"),
        ("past_due", None, "past_due"),
        ("unpaid", None, "past_due"),
        ("paused", None, "paused"),
        ("canceled", "cancellation_requested", "canceled"),
        ("canceled", "payment_failed", "expired"),
        ("something_new", None, "paused"),
    ],
)
def test_the_status_of_a_subscription(status, reason, expected):
    snapshot = subscription(status=status, cancellation_details={"reason": reason}, ended_at=END)

    assert (snapshot.status, snapshot.ended_at) == (expected, moment(END))


@pytest.mark.parametrize(
    ("flag", "at", "expected"),
    [(True, None, True), (False, END, True), (False, END + 1, False), (False, None, False)],
)
def test_a_cancellation_date_within_the_period_is_a_cancellation_at_its_end(flag, at, expected):
    assert subscription(cancel_at_period_end=flag, cancel_at=at).cancel_at_period_end is expected


@pytest.mark.parametrize(
    ("status", "begun", "expected"),
    [
        ("active", BEGIN, "large"),
        ("not_started", None, "large"),
        ("active", END, ""),  # the phase has begun, so it is the current plan
        ("released", BEGIN, ""),
        ("canceled", BEGIN, ""),
    ],
)
def test_the_next_plan_is_read_from_the_schedule(status, begun, expected):
    schedule = {
        "id": "sub_sched_1", "status": status, "metadata": {"next_plan_code": "large"},
        "phases": [{"start_date": BEGIN}, {"start_date": END}],
        "current_phase": {"start_date": begun} if begun else None,
    }  # fmt: skip

    assert subscription(schedule=schedule).next_plan_code == expected


def test_an_invoice_pays_for_the_period_of_its_line():
    (billed,) = subscription([invoice(period_start=BEGIN - 9, period_end=BEGIN)]).invoices

    assert (billed.period_start, billed.period_end) == (moment(BEGIN), moment(END))
    assert (billed.amount, billed.currency, billed.status) == (999, "USD", "paid")
    assert billed.payment_ids == ("pi_1",)


def test_a_credit_line_does_not_set_the_period_of_an_invoice():
    lines = {"data": [line(-500, BEGIN, END * 2), line(999, BEGIN, END)]}
    (billed,) = subscription([invoice(lines=lines)]).invoices

    assert (billed.period_start, billed.period_end) == (moment(BEGIN), moment(END))


def test_an_invoice_without_lines_has_its_own_period():
    (billed,) = subscription([invoice(lines=None, period_end=END)]).invoices

    assert (billed.period_start, billed.period_end) == (moment(BEGIN), moment(END))


def test_the_amount_of_an_invoice_excludes_customer_credit():
    (billed,) = subscription([invoice(amount_due=400)]).invoices

    assert billed.amount == 400


def test_empty_invoices_and_drafts_are_left_out():
    rows = [invoice(total=0, amount_due=0), invoice(status="draft"), invoice(status="new")]

    assert subscription(rows).invoices == ()


def test_the_oldest_invoice_comes_first():
    newest_first = [
        invoice(id="in_3", lines={"data": [line(999, END, END + 9)]}),
        invoice(id="in_2"),
        invoice(id="in_1"),
    ]

    assert [row.external_id for row in subscription(newest_first).invoices] == [
        "in_1", "in_2", "in_3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "paid_by",
    [
        {"payments": {"data": [{"payment": {"payment_intent": {"id": "pi_1"}}}]}},
        {"payments": None, "payment_intent": "pi_1"},
        {"payments": None, "payment_intent": {"id": "pi_1"}},
        {"payment_intent": "pi_1"},
    ],
)
def test_the_payments_of_an_invoice(paid_by):
    (billed,) = subscription([invoice(**paid_by)]).invoices

    assert billed.payment_ids == ("pi_1",)


def test_an_invoice_without_a_payment_attempt():
    (billed,) = subscription([invoice(status="open", payments={"data": []})]).invoices

    assert (billed.status, billed.payment_ids) == ("open", ())
