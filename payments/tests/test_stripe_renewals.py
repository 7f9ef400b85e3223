"""Renewals at Stripe that the bank asks about, or declines: the API and the mail show the way."""

import pytest

from payments.models import Entitlement, Notice, Subscription
from payments.tests.kit import VISA, balances

pytestmark = pytest.mark.django_db
MINE = "/api/v1/payments/subscription"


class Renewal:
    """A subscription at Stripe whose renewal is not paid at once."""

    def __init__(self, service, client, card: str):
        self.service, self.stripe, self.client = service, service.account, client
        client.post("/api/v1/payments/subscribe", {"plan": "monthly", "payment_method": VISA})
        assert client.post(f"{MINE}/payment-method", {"payment_method": card}).status_code == 200
        service.deliver()
        assert self.page is None
        self.stripe.asks_always = True
        self.stripe.renew(Subscription.objects.get().external_id)
        self.invoice = self.stripe.listing("invoice")["data"][0]

    @property
    def page(self) -> str | None:
        return self.client.get(MINE).data["hosted_invoice_url"]

    def pages(self) -> list[str | None]:
        """Return the pages of the invoices, oldest first."""
        rows = self.client.get("/api/v1/payments/invoices").data["results"]
        return [row["hosted_invoice_url"] for row in sorted(rows, key=lambda r: r["period_start"])]


@pytest.fixture
def renewal(stripe_service, client_for, viewer):
    return lambda card: Renewal(stripe_service, client_for(viewer), card)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_renewal_that_the_bank_asks_about_shows_its_page(renewal, reverse):
    asked = renewal("pm_card_authenticationRequired")
    asked.service.deliver(times=2, reverse=reverse)

    page = asked.invoice["hosted_invoice_url"]
    assert asked.client.get(MINE).data["status"] == "past_due"
    assert (asked.page, asked.pages()) == (page, [None, page])
    assert Entitlement.objects.live().exists()
    notice = Notice.objects.get(subject="Please confirm your renewal")
    assert page in notice.body
    assert not Notice.objects.filter(subject="Your card was declined").exists()


def test_after_the_confirmation_the_page_is_gone(renewal):
    asked = renewal("pm_card_authenticationRequired")
    asked.service.deliver()
    (waiting,) = (
        row
        for row in asked.stripe.listing("payment_intent", limit=100)["data"]
        if row["status"] == "requires_action"
    )
    asked.stripe.authenticate(waiting["id"])
    asked.service.deliver()

    assert asked.client.get(MINE).data["status"] == "active"
    assert (asked.page, asked.pages()) == (None, [None, None])
    assert balances()["deferred:USD"] == 1998
    assert Notice.objects.filter(subject="Please confirm your renewal").count() == 1


def test_a_declined_renewal_shows_its_page(renewal):
    declined = renewal("pm_card_chargeCustomerFail")
    declined.service.deliver(times=2)

    page = declined.invoice["hosted_invoice_url"]
    assert (declined.page, declined.pages()) == (page, [None, page])
    assert page in Notice.objects.get(subject="Your card was declined").body
    assert not Notice.objects.filter(subject="Please confirm your renewal").exists()


def test_the_page_of_a_voided_invoice_is_not_shown(renewal):
    declined = renewal("pm_card_chargeCustomerFail")
    declined.stripe.void_invoice(declined.invoice["id"])
    declined.service.deliver()

    assert (declined.page, declined.pages()) == (None, [None, None])


def test_a_first_payment_that_the_bank_asks_about_shows_its_page(
    stripe_service, client_for, viewer
):
    client = client_for(viewer)
    card = {"payment_method": "pm_card_authenticationRequired"}
    answer = client.post("/api/v1/payments/subscribe", {"plan": "monthly", **card})

    assert answer.status_code == 202, answer.content
    (invoice,) = stripe_service.account.listing("invoice")["data"]
    assert answer.data["subscription"]["hosted_invoice_url"] == invoice["hosted_invoice_url"]
    assert client.get(MINE).data["hosted_invoice_url"] == invoice["hosted_invoice_url"]
