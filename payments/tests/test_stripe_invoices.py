"""Invoices of Stripe that change, that several payments pay, or that are paid elsewhere, over HTTP."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.tests import cases
from payments import gateways
from payments.books.verification import verify_ledger
from payments.models import Entitlement, Invoice, Payment, Refund, Subscription
from payments.periods import Month
from payments.services.gateway_news import changes, followups
from payments.services.sharing.recognition import recognise
from payments.services.subscribing import follow_gateway
from payments.tests.kit import VISA, balances, code, nothing_changes
from payments.tests.stripe_stand_in.objects import DAY

pytestmark = [pytest.mark.django_db, pytest.mark.months]
PAST_EVERY_PERIOD = Month(2099, 1)


class Subscriber:
    """A subscriber at Stripe, whose first period is paid, and what the tests do with the invoices."""

    def __init__(self, service, client):
        self.service, self.stripe, self.client = service, service.account, client
        answer = client.post(
            "/api/v1/payments/subscribe", {"plan": "monthly", "payment_method": VISA}
        )
        assert answer.status_code == 201, answer.content
        self.row = Subscription.objects.get()
        service.deliver()

    def renew_unpaid(self) -> str:
        """Renew with a card that is declined; return the id of the open invoice."""
        answer = self.client.post(
            "/api/v1/payments/subscription/payment-method",
            {"payment_method": "pm_card_chargeCustomerFail"},
        )
        assert answer.status_code == 200, answer.content
        return self.renew()

    def renew(self) -> str:
        self.stripe.renew(self.row.external_id)
        return self.stripe.listing("invoice")["data"][0]["id"]

    def hear(self, *, reverse: bool = False) -> None:
        """Deliver the events, make the calls that are due, and check that nothing goes back."""
        self.service.deliver(reverse=reverse)
        followups.run()
        assert not Refund.objects.exists()
        assert verify_ledger().discrepancies == 0
        self.row.refresh_from_db()

    @property
    def may_watch(self) -> bool:
        return Entitlement.objects.live().filter(user=self.row.user).exists()

    def shown(self) -> list[tuple[str, str]]:
        """Return amount and status of the invoices in the API, oldest first."""
        rows = self.client.get("/api/v1/payments/invoices").data["results"]
        rows = sorted(rows, key=lambda row: row["period_start"])
        return [(row["amount"], row["status"]) for row in rows]


@pytest.fixture
def subscriber(stripe_service, client_for, viewer):
    return Subscriber(stripe_service, client_for(viewer))


@pytest.mark.parametrize("reverse", cases.first(1, [True, False]))
def test_a_credit_note_lowers_the_invoice_that_is_paid_afterwards(subscriber, reverse):
    invoice = subscriber.renew_unpaid()
    subscriber.hear()
    assert subscriber.shown() == [("9.99", "paid"), ("9.99", "open")]

    subscriber.stripe.credit(invoice, 400)
    subscriber.stripe.pay_invoice(invoice, VISA)
    subscriber.hear(reverse=reverse)

    assert subscriber.shown() == [("9.99", "paid"), ("5.99", "paid")]
    assert balances() == {"clearing:USD": -1493, "deferred:USD": 1598, "fees:USD": -105}
    assert (subscriber.row.status, subscriber.may_watch) == ("active", True)


@pytest.mark.parametrize("reverse", cases.first(1, [True, False]))
def test_an_invoice_is_paid_in_two_parts(subscriber, reverse):
    invoice = subscriber.renew_unpaid()
    subscriber.stripe.pay_part(invoice, 400)
    subscriber.hear(reverse=reverse)
    assert subscriber.shown()[1] == ("9.99", "open")
    assert balances()["deferred:USD"] == 1399
    assert subscriber.row.status == "past_due"

    subscriber.stripe.pay_part(invoice, 599)
    subscriber.hear(reverse=reverse)

    assert subscriber.shown()[1] == ("9.99", "paid")
    assert balances()["deferred:USD"] == 1998
    assert (subscriber.row.status, subscriber.may_watch) == ("active", True)
    assert set(Payment.objects.filter(captured__gt=0).values_list("disposition", flat=True)) == {
        "applied"
    }


def test_an_invoice_in_two_parts_is_earned_and_refunded_as_one(subscriber, client_for, admin):
    invoice = subscriber.renew_unpaid()
    for part in (400, 599):
        subscriber.stripe.pay_part(invoice, part)
    subscriber.hear()
    recognise(PAST_EVERY_PERIOD, "USD")
    assert verify_ledger().discrepancies == 0
    # The platform's 20 % are rounded down for each payment.
    assert balances()["platform:USD"] == 199 + 80 + 119
    assert balances()["pool:USD"] == 800 + 320 + 480
    second = Invoice.objects.latest("period_start")
    assert second.recognised == 999

    url = f"/api/v1/payments/admin/invoices/{second.pk}/refund"
    back = client_for(admin)
    with nothing_changes():
        assert code(back.post(url, {"amount": "10.00"})) == "refund_too_large"
    for _ in range(2):
        answer = back.post(url, {"amount": "7.00"}, headers={"Idempotency-Key": "once"})
        assert answer.status_code == 200, answer.content
    assert sorted(Refund.objects.values_list("amount", flat=True)) == [101, 599]
    subscriber.row.refresh_from_db()
    assert subscriber.row.status == "active"

    assert back.post(url, {}).status_code == 200

    assert verify_ledger().discrepancies == 0
    subscriber.row.refresh_from_db()
    assert (subscriber.row.status, subscriber.may_watch) == ("canceled", False)
    assert (balances()["pool:USD"], balances()["platform:USD"]) == (800, 199)
    with nothing_changes():
        assert code(back.post(url, {})) == "not_refundable"


def test_the_customers_credit_lowers_the_next_invoice(subscriber):
    """A credit note on a paid invoice becomes credit; the next invoice asks for the rest."""
    paid = subscriber.stripe.listing("invoice")["data"][0]["id"]
    subscriber.stripe.credit(paid, 250)
    subscriber.renew()
    subscriber.hear()

    assert subscriber.shown() == [("9.99", "paid"), ("7.49", "paid")]
    assert balances()["deferred:USD"] == 999 + 749
    assert subscriber.row.status == "active"


def test_the_customers_debt_raises_the_next_invoice(subscriber):
    (customer,) = subscriber.stripe.listing("customer")["data"]
    customer["balance"] = 101
    subscriber.renew()
    subscriber.hear()

    assert subscriber.shown() == [("9.99", "paid"), ("11.00", "paid")]
    assert balances()["deferred:USD"] == 999 + 1100


def test_credit_for_a_whole_period_needs_no_payment(subscriber):
    (customer,) = subscriber.stripe.listing("customer")["data"]
    customer["balance"] = -5000
    subscriber.renew()
    subscriber.hear()

    assert subscriber.shown() == [("9.99", "paid"), ("0.00", "paid")]
    assert (subscriber.row.status, subscriber.may_watch) == ("active", True)
    assert balances()["deferred:USD"] == 999


def test_an_overpaid_invoice_keeps_all_its_payments(subscriber):
    """Stripe credits the excess to the customer, and lowers the next invoice by it."""
    invoice = subscriber.renew_unpaid()
    subscriber.stripe.pay_part(invoice, 900)
    subscriber.stripe.pay_part(invoice, 200)
    subscriber.hear()

    assert subscriber.shown()[1] == ("11.00", "paid")
    assert balances()["deferred:USD"] == 999 + 1100
    assert subscriber.row.status == "active"


def test_money_beyond_the_invoice_waits_in_suspense(subscriber):
    """A payment that Stripe's object does not explain is kept for a person, and not sent back."""
    invoice = subscriber.renew_unpaid()
    subscriber.stripe.pay_part(invoice, 900)
    subscriber.stripe.pay_part(invoice, 200)
    subscriber.stripe.objects[invoice]["amount_overpaid"] = 0
    subscriber.hear()

    assert balances()["suspense:USD"] == 200
    assert Payment.objects.get(captured=200).disposition == "unmatched"
    assert subscriber.row.status == "active"


def test_a_part_of_an_invoice_that_is_given_up_waits_in_suspense(subscriber):
    invoice = subscriber.renew_unpaid()
    subscriber.stripe.pay_part(invoice, 400)
    subscriber.hear()
    subscriber.stripe.give_up_invoice(invoice)
    subscriber.hear()
    assert (balances()["suspense:USD"], balances()["deferred:USD"]) == (400, 999)
    assert subscriber.shown()[1] == ("9.99", "uncollectible")

    subscriber.stripe.pay_part(invoice, 599)  # it is collected after all
    subscriber.hear()

    assert "suspense:USD" not in balances()
    assert balances()["deferred:USD"] == 1998
    assert subscriber.shown()[1] == ("9.99", "paid")


def test_an_invoice_that_is_paid_elsewhere_is_paid(subscriber):
    """Money that Stripe never had is in no book, but the invoice is paid."""
    invoice = subscriber.renew_unpaid()
    subscriber.stripe.pay_part(invoice, 400)
    subscriber.stripe.pay_elsewhere(invoice)
    subscriber.hear()

    assert subscriber.shown()[1] == ("9.99", "paid")
    assert balances()["deferred:USD"] == 1399
    assert (subscriber.row.status, subscriber.may_watch) == ("active", True)


def test_a_voided_invoice_asks_for_nothing(subscriber):
    invoice = subscriber.renew_unpaid()
    subscriber.hear()
    subscriber.stripe.void_invoice(invoice)
    subscriber.hear()

    assert subscriber.shown()[1] == ("9.99", "void")
    assert balances()["deferred:USD"] == 999


def test_an_older_answer_does_not_undo_a_credit_note(subscriber):
    """An answer that was fetched before the credit note, and comes after it, changes no amount."""
    invoice = subscriber.renew_unpaid()
    subscriber.hear()
    old = gateways.by_name("stripe").fetch_subscription(subscriber.row.external_id)
    subscriber.stripe.credit(invoice, 400)
    subscriber.hear()
    follow_gateway._apply_if_newest(subscriber.row.pk, 1, old)

    assert subscriber.shown()[1] == ("5.99", "open")


def test_a_period_that_is_billed_anew_after_a_void_invoice_is_paid(subscriber):
    invoice = subscriber.renew_unpaid()
    subscriber.hear()
    subscriber.stripe.void_invoice(invoice)
    subscription = subscriber.stripe.objects[subscriber.row.external_id]
    item = subscription["items"]["data"][0]
    start, end = item["current_period_start"], item["current_period_end"] - DAY
    line = subscriber.stripe.line(700, start, end)
    subscription["default_payment_method"] = VISA
    subscriber.stripe.bill(subscription, [line])
    subscriber.hear()

    assert subscriber.shown() == [("9.99", "paid"), ("7.00", "paid")]
    assert balances()["deferred:USD"] == 1699


@pytest.mark.long
def test_news_of_an_old_subscription_cost_no_more_than_of_a_new_one(subscriber):
    """Neither statements nor requests to Stripe grow with the periods that are paid."""

    def cost() -> tuple[int, int]:
        asked = len(subscriber.stripe.requests)
        with CaptureQueriesContext(connection) as statements:
            follow_gateway.sync_subscription(
                gateway="stripe", external_id=subscriber.row.external_id
            )
        return len(statements), len(subscriber.stripe.requests) - asked

    subscriber.renew()
    subscriber.hear()
    new = cost()
    for _ in range(6):
        subscriber.renew()
    subscriber.hear()

    assert cost() == new
    assert subscriber.shown() == [("9.99", "paid")] * 8
    assert balances()["deferred:USD"] == 8 * 999


def test_news_of_a_payment_ask_for_it_once(subscriber):
    subscriber.renew()
    subscriber.hear()
    payment = subscriber.row.invoices.order_by("-period_start")[0].payments.get()
    before = len(subscriber.stripe.requests)

    changes.process_change(gateway="stripe", kind="payment", external_id=payment.external_id)

    asked = [path for _, path, *_ in subscriber.stripe.requests[before:]]
    assert asked.count(f"payment_intents/{payment.external_id}") == 1, asked
