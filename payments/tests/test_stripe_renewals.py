"""Renewals at Stripe that the bank asks about, or declines: the API and the mail show the way."""

import time

import pytest

from config.tests import cases
from payments.books import verification
from payments.models import Entitlement, Invoice, Notice, Payment, Plan, Subscription
from payments.tests.kit import VISA, balances

pytestmark = [pytest.mark.django_db, pytest.mark.months]
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


@pytest.mark.parametrize("reverse", cases.first(1, [True, False]))
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


class TestUpgrade:
    """An upgrade whose payment the bank asks about begins when the subscriber has confirmed it."""

    @pytest.fixture
    def upgrade(self, stripe_service, client_for, viewer):
        """Subscribe, let the bank ask always, ask for the dearer plan, and return the answer."""
        Plan.objects.create(code="large", name="Large", amount=2999, currency="USD")
        client = client_for(viewer)
        client.post("/api/v1/payments/subscribe", {"plan": "monthly", "payment_method": VISA})
        card = {"payment_method": "pm_card_authenticationRequired"}
        assert client.post(f"{MINE}/payment-method", card).status_code == 200
        stripe_service.account.asks_always = True

        def send():
            time.sleep(1.1)  # no two periods begin in the same second
            return client.post(f"{MINE}/change", {"plan": "large"})

        return send

    def invoice(self, service) -> dict:
        return service.account.listing("invoice")["data"][0]

    def test_the_answer_and_a_mail_show_the_way(self, upgrade, stripe_service, client_for, viewer):
        answer = upgrade()

        page = self.invoice(stripe_service)["hosted_invoice_url"]
        assert (answer.status_code, answer.data["plan"]) == (202, "monthly"), answer.data
        assert answer.data["status"] == "active"
        assert answer.data["hosted_invoice_url"] == page
        assert page in Notice.objects.get(subject="Please confirm your change of plan").body
        rows = client_for(viewer).get("/api/v1/payments/invoices").data["results"]
        assert [(row["status"], row["hosted_invoice_url"]) for row in rows] == [
            ("open", page),
            ("paid", None),
        ]
        assert Entitlement.objects.live().count() == 1
        assert Invoice.objects.filter(ended_early_at=None).count() == 2
        again = upgrade()
        assert (again.status_code, again.data["hosted_invoice_url"]) == (202, page)
        assert len(stripe_service.account.listing("invoice")["data"]) == 2
        assert Notice.objects.filter(subject="Please confirm your change of plan").count() == 1

    @pytest.mark.parametrize("reverse", cases.first(1, [True, False]))
    def test_a_confirmed_upgrade_begins(self, upgrade, stripe_service, client_for, viewer, reverse):
        upgrade()
        stripe_service.deliver()
        waiting = Payment.objects.get(status="requires_action")
        stripe_service.account.authenticate(waiting.external_id)
        stripe_service.deliver(times=2, reverse=reverse)

        shown = client_for(viewer).get(MINE).data
        assert (shown["plan"], shown["hosted_invoice_url"]) == ("large", None)
        first, second = Invoice.objects.order_by("period_start")
        assert (first.status, second.status) == ("paid", "paid")
        assert first.ended_early_at == second.period_start
        assert 1999 < second.amount < 2010
        assert Entitlement.objects.live().count() == 1
        assert verification.verify_ledger().discrepancies == 0

    def test_an_upgrade_that_nobody_confirms_changes_nothing(
        self, upgrade, stripe_service, client_for, viewer
    ):
        before = Subscription.objects.get().period_end
        upgrade()
        stripe_service.account.void_invoice(self.invoice(stripe_service)["id"])
        stripe_service.deliver(times=2)

        shown = client_for(viewer).get(MINE).data
        assert (shown["plan"], shown["hosted_invoice_url"]) == ("monthly", None)
        assert Subscription.objects.get().period_end == before
        assert Entitlement.objects.live().count() == 1

    def test_another_card_pays_it(self, upgrade, stripe_service, client_for, viewer):
        upgrade()
        answer = client_for(viewer).post(f"{MINE}/payment-method", {"payment_method": VISA})
        assert answer.status_code == 200
        assert answer.data["plan"] == "large"

    @pytest.mark.parametrize(("path", "body"), [("cancel", {}), ("change", {"plan": "tiny"})])
    def test_what_cannot_wait_is_declined_and_changes_nothing(
        self, upgrade, client_for, viewer, path, body
    ):
        """Stripe holds no update back for a subscription that ends or changes with its period."""
        Plan.objects.create(code="tiny", name="Tiny", amount=500, currency="USD")
        assert client_for(viewer).post(f"{MINE}/{path}", body).status_code == 200
        before = client_for(viewer).get(MINE).data
        answer = upgrade()
        assert (answer.status_code, answer.data["errors"][0]["code"]) == (402, "card_declined")
        assert "confirm" in answer.data["errors"][0]["detail"]
        assert client_for(viewer).get(MINE).data == before
