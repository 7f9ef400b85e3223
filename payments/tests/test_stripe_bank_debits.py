"""Bank debits at Stripe, which are decided days after the checkout, over HTTP."""

import pytest
from django.utils import timezone

from payments.books.verification import verify_ledger
from payments.models import Entitlement, Order
from payments.services.buying import orders
from payments.services.gateway_news import followups
from payments.tests.kit import balances

pytestmark = pytest.mark.django_db


@pytest.fixture
def debited(stripe_service, client_for, viewer, make_video):
    """An order that was paid on its checkout by a bank debit that is pending."""
    url = f"/api/v1/payments/purchase/{make_video(price=1999).pk}"
    assert client_for(viewer).post(url).status_code == 201
    stripe_service.account.complete_checkout(Order.objects.get().checkout_id, paid=False)
    stripe_service.deliver()
    return stripe_service


def end(service, *, succeeds: bool) -> str:
    service.account.end_bank_debit(Order.objects.get().checkout_id, succeeds=succeeds)
    service.deliver(times=2, reverse=True)
    assert verify_ledger().discrepancies == 0
    return Order.objects.get().status


def test_a_pending_debit_gives_no_access(debited):
    assert Order.objects.get().status in Order.OPEN
    assert not Entitlement.objects.exists()
    assert balances() == {}


def test_a_debit_that_succeeds_pays_the_order(debited):
    assert end(debited, succeeds=True) == "paid"
    assert Entitlement.objects.live().count() == 1
    assert balances()["creator:USD"] == 1600


def test_a_debit_that_fails_ends_the_checkout(debited):
    """Its checkout is closed once, and Stripe is not asked about it every second for ever."""
    assert end(debited, succeeds=False) != "paid"
    Order.objects.update(expires_at=timezone.now())
    orders.expire_orders()
    followups.run()
    assert Order.objects.get().checkout_closed
    debited.account.requests.clear()
    followups.run()
    assert debited.account.requests == []
    assert (balances(), Entitlement.objects.exists()) == ({}, False)
