"""A Stripe account whose balance is in another currency than its prices, over HTTP."""

from dataclasses import asdict
from datetime import timedelta

import pytest
from django.utils import timezone

from config.tests import cases
from payments.books import trial_balance
from payments.books.reports import Period, platform_totals
from payments.books.verification import verify_ledger
from payments.models import Dispute, JournalEntry, Order, Payment, Refund
from payments.services.gateway_news import reconciliation
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA, balances, nothing_changes

pytestmark = pytest.mark.django_db
SOLD = {"creator:USD": 1600, "platform:USD": 399}
# 19.99 USD at 0.9172, less a fee of 0.87 USD.
CHARGED = {"fx_trading:USD": -1999, "fx_trading:EUR": 1833, "fees:EUR": -80, "clearing:EUR": -1753}


class Sale:
    """A video that was bought for 19.99 USD at a Stripe account that settles in EUR."""

    def __init__(self, service, client, video):
        self.service, self.stripe = service, service.account
        answer = client.post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
        assert answer.status_code == 201, answer.content
        self.payment = Payment.objects.get()

    def hear(self, *, reverse: bool = False) -> str:
        """Deliver the events, check the books in each currency, and return the order's status."""
        self.service.deliver(reverse=reverse)
        with nothing_changes():
            sync_payment(gateway="stripe", external_id=self.payment.external_id)
        assert verify_ledger().discrepancies == 0
        assert not any(row.balance for row in trial_balance.totals(trial_balance.accounts()))
        for entry in JournalEntry.objects.prefetch_related("transfers"):
            assert len({transfer.currency for transfer in entry.transfers.all()}) == 1
        return Order.objects.get().status


@pytest.fixture
def sale(stripe_service, client_for, viewer, make_video):
    stripe_service.account.settles_in = "eur"
    return Sale(stripe_service, client_for(viewer), make_video(price=1999))


def test_a_capture_is_exchanged(sale):
    assert (sale.hear(), balances()) == ("paid", {**SOLD, **CHARGED})
    reasons = list(JournalEntry.objects.values_list("kind", flat=True))
    assert reasons == ["capture", "capture"]


def test_a_refund_goes_back_at_its_own_rate(sale, client_for, admin):
    sale.stripe.rate = 0.95
    order = Order.objects.get()
    answer = client_for(admin).post(f"/api/v1/payments/admin/orders/{order.pk}/refund", {})
    assert answer.status_code == 200, answer.content

    assert sale.hear() == "refunded"
    # The platform has paid 0.66 EUR for the exchange there and back.
    assert balances() == {"fx_trading:EUR": -66, "fees:EUR": -80, "clearing:EUR": 146}


def test_a_refund_that_fails_comes_back_at_a_third_rate(sale, client_for, admin):
    order = Order.objects.get()
    client_for(admin).post(f"/api/v1/payments/admin/orders/{order.pk}/refund", {"amount": "10.00"})
    sale.stripe.rate = 0.5
    sale.stripe.fail_refund(Refund.objects.get().external_id)

    assert sale.hear() == "paid"
    assert balances() == {
        **SOLD, "fx_trading:USD": -1999, "fx_trading:EUR": 1833 - 917 + 500, "fees:EUR": -80,
        "clearing:EUR": -1336,
    }  # fmt: skip


@cases.crossed(rate=[0.5, 0.9172, 1.1], reverse=[False, True])
def test_a_dispute_is_won_at_another_rate(sale, rate, reverse):
    dispute = sale.stripe.open_dispute(sale.payment.external_id, 1999)
    assert sale.hear(reverse=reverse) == "disputed"
    # Of the dispute's fee of 15 USD, the account pays 13.76 EUR.
    assert balances() == {"fees:EUR": -1456, "clearing:EUR": 1456}
    sale.stripe.rate = rate
    sale.stripe.reinstate(dispute, 1999)

    assert sale.hear(reverse=reverse) == "paid"
    row = Dispute.objects.get()
    assert (row.withdrawn, row.reinstated, row.status, row.fee) == (1999, 1999, "won", 0)
    back = round(1999 * rate)
    assert balances() == {
        **SOLD, "fx_trading:USD": -1999, "fx_trading:EUR": back, "fees:EUR": -1456,
        "clearing:EUR": 1456 - back,
    }  # fmt: skip


def test_a_dispute_in_the_currency_of_the_balance(sale):
    """The bank claims 9.17 EUR: half of the payment, and not 9.17 USD."""
    dispute = sale.stripe.open_dispute(sale.payment.external_id, 1000)
    sale.stripe.objects[dispute].update(amount=917, currency="eur")

    assert sale.hear() == "disputed"
    assert Dispute.objects.get().withdrawn == 1000
    assert balances()["creator:USD"] == 800


def test_a_charge_that_comes_on_the_balance_later(stripe_service, client_for, viewer, make_video):
    stripe_service.account.settles_in, stripe_service.account.settles_later = "eur", True
    sale = Sale(stripe_service, client_for(viewer), make_video(price=1999))
    assert (sale.hear(), balances()) == ("paid", {**SOLD, "clearing:USD": -1999})

    (charge,) = sale.stripe.listing("charge")["data"]
    sale.stripe.settle(charge)

    assert (sale.hear(), balances()) == ("paid", {**SOLD, **CHARGED})
    assert JournalEntry.objects.filter(kind="conversion").count() == 2


def test_the_reports_show_the_sale_in_its_currency_and_the_fee_in_the_other(
    sale, client_for, admin
):
    sale.hear()
    rows = {row.currency: asdict(row) for row in platform_totals(Period())}
    assert (rows["USD"]["gross"], rows["USD"]["net"], rows["USD"]["fees"]) == (1999, 1999, 0)
    assert (rows["EUR"]["gross"], rows["EUR"]["net"], rows["EUR"]["fees"]) == (0, 0, 80)
    for row in rows.values():
        assert row["gross"] - row["refunds"] - row["disputes"] == (
            row["creator_share"] + row["platform_share"] - row["losses"] - row["promotions"]
            + row["deferred"] + row["pool"] + row["owed_back"] + row["suspense"]
        )  # fmt: skip
    client = client_for(admin)
    shown = client.get("/api/v1/payments/admin/ledger/trial-balance").data
    codes = {row["code"]: row["balance"] for row in shown["accounts"]}
    assert (codes["fx_trading:USD"], codes["fx_trading:EUR"]) == ("19.99", "-18.33")
    assert client.get("/api/v1/payments/admin/revenue").status_code == 200


def test_a_reconciliation_books_a_conversion_that_no_event_told(sale):
    dispute = sale.stripe.open_dispute(sale.payment.external_id, 1999)
    since = timezone.now() - timedelta(hours=1)
    assert reconciliation.reconcile(since).changed
    assert balances() == {"fees:EUR": -1456, "clearing:EUR": 1456}
    assert reconciliation.reconcile(since).changed == []
    sale.stripe.reinstate(dispute, 0)
    assert reconciliation.reconcile(since).failed == []
    assert Dispute.objects.get().status == "lost"


def test_a_currency_that_the_service_does_not_know_stays_in_the_payments(
    stripe_service, client_for, viewer, make_video, caplog
):
    stripe_service.account.settles_in = "huf"
    sale = Sale(stripe_service, client_for(viewer), make_video(price=1999))

    assert (sale.hear(), balances()) == ("paid", {**SOLD, "clearing:USD": -1999})
    assert "Stripe settles in HUF" in caplog.text
