"""Objects that are gone at Stripe: every operation says what is true, and the person can go on."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from config.tests import cases
from payments.gateways.base import NotThere
from payments.models import (
    Dispute,
    DisputeEvidence,
    Entitlement,
    Order,
    Payment,
    Plan,
    Refund,
    Subscription,
)
from payments.services.gateway_news import followups, reconciliation
from payments.services.settling import fetching
from payments.services.settling.facts import sync_payment
from payments.services.settling.fetching import DISPUTE_OVER_AFTER
from payments.services.subscribing import lapsing
from payments.tests import stripe_endings
from payments.tests.kit import VISA, assert_books_are_right, code, nothing_changes

pytestmark = pytest.mark.django_db
API = "/api/v1/payments"
MINE = f"{API}/subscription"
BY_CARD = {"payment_method": VISA}
ASKED = {"payment_method": "pm_card_authenticationRequired"}


class Shop:
    """A buyer and an administrator of the service, and the stand-in for Stripe."""

    def __init__(self, service, me, office, video):
        self.service, self.stripe, self.me, self.office = service, service.account, me, office
        self.purchase, self.video = f"{API}/purchase/{video.pk}", video

    def lose(self, *kinds: str) -> None:
        """Delete the objects of these kinds at Stripe."""
        objects = self.stripe.objects
        for name in [name for name, row in objects.items() if row["object"] in kinds]:
            del objects[name]

    def reconcile(self) -> None:
        answer = self.office.post(f"{API}/admin/reconcile", {"hours": 24})
        assert (answer.status_code, answer.data["failed"]) == (200, []), answer.data

    @property
    def order(self) -> Order:
        return Order.objects.get()

    @property
    def subscription(self) -> Subscription:
        return Subscription.objects.order_by("created_at").first()  # type: ignore[return-value]  # there is one

    def of_order(self, step: str):
        return self.me.post(f"{API}/orders/{self.order.pk}/{step}")


@pytest.fixture
def shop(stripe_service, client_for, viewer, admin, make_video):
    Plan.objects.create(code="tiny", name="Tiny", amount=500, currency="USD")
    Plan.objects.create(code="huge", name="Huge", amount=4999, currency="USD")
    yield Shop(stripe_service, client_for(viewer), client_for(admin), make_video(price=1999))
    assert_books_are_right()


# --- orders ---

OF_OPEN_ORDER = {
    "sync": (lambda shop: shop.of_order("sync"), 200),
    "purchase": (lambda shop: shop.me.post(shop.purchase, {}), 200),
    "purchase by card": (lambda shop: shop.me.post(shop.purchase, BY_CARD), 200),
    "reconcile": (lambda shop: shop.reconcile(), None),
    "nothing": (lambda shop: None, None),
}


@cases.crossed(operation=[*OF_OPEN_ORDER], begun=["on the checkout", "at the bank"])
def test_an_order_whose_attempt_is_gone_is_paid_by_a_new_one(shop, operation, begun):
    first = shop.me.post(shop.purchase, {} if begun == "on the checkout" else ASKED)
    dead = first.data["next_action"]["url"]
    shop.lose("checkout.session", "payment_intent")

    call, status = OF_OPEN_ORDER[operation]
    answer = call(shop)

    assert (answer and answer.status_code) == status
    if shop.order.status != "paid":
        again = shop.me.post(shop.purchase, {})
        assert again.status_code == 200
        step = again.data["next_action"]
        assert (step["type"], step["url"] != dead) == ("redirect", True)
        assert shop.me.post(shop.purchase, {}).data["next_action"] == step
        shop.stripe.complete_checkout(shop.order.checkout_id)
        shop.service.deliver()
    assert (Order.objects.count(), shop.order.status) == (1, "paid")
    assert Entitlement.objects.live().count() == 1
    assert Payment.objects.filter(captured__gt=0).count() == 1


def test_an_order_whose_attempt_is_gone_can_be_canceled(shop):
    shop.me.post(shop.purchase, ASKED)
    shop.lose("payment_intent")
    assert shop.of_order("cancel").data["status"] == "canceled"
    assert shop.me.post(shop.purchase, BY_CARD).status_code == 201


def test_what_was_paid_stays_paid_when_its_payment_is_gone(shop):
    shop.me.post(shop.purchase, BY_CARD)
    shop.lose("payment_intent")
    shop.reconcile()
    assert shop.of_order("sync").data["status"] == "paid"
    for client, url in (
        (shop.me, f"{API}/orders/{shop.order.pk}/refund"),
        (shop.office, f"{API}/admin/orders/{shop.order.pk}/refund"),
    ):
        answer = client.post(url, {})
        assert (answer.status_code, code(answer)) == (422, "refund_too_large")
        assert "does not know this payment" in answer.data["errors"][0]["detail"]
    assert {row.status for row in Refund.objects.all()} == {"canceled"}
    assert (shop.order.status, Entitlement.objects.live().count()) == ("paid", 1)


# --- subscriptions ---

OF_RUNNING = {
    "upgrade": (f"{MINE}/change", {"plan": "huge"}, 409, "subscription_not_running"),
    "downgrade": (f"{MINE}/change", {"plan": "tiny"}, 409, "subscription_not_running"),
    "card": (f"{MINE}/payment-method", BY_CARD, 409, "subscription_not_running"),
    "cancel": (f"{MINE}/cancel", {}, 200, ""),
    "cancel now": (f"{MINE}/cancel", {"at_period_end": False}, 200, ""),
    "resume": (f"{MINE}/resume", {}, 409, "not_resumed"),
}


@cases.crossed(operation=[*OF_RUNNING], gone=["subscription", "everything", "customer"])
def test_a_subscription_that_is_gone_says_so_and_another_can_be_bought(shop, operation, gone):
    shop.me.post(f"{API}/subscribe", BY_CARD)
    if operation == "resume":
        shop.me.post(f"{MINE}/cancel", {})
    if gone == "customer":  # Stripe cancels the subscriptions of a deleted customer
        customer = shop.stripe.objects[shop.subscription.external_id]["customer"]
        shop.stripe.delete_customer(customer)
    elif gone == "everything":
        shop.lose("subscription", "customer", "payment_intent", "invoice", "price", "product")
    else:
        shop.lose("subscription")
    url, body, status, refusal = OF_RUNNING[operation]

    answer = shop.me.post(url, body)

    if gone == "customer" and operation == "upgrade":  # the end is known before the change
        status, refusal = 404, "no_subscription"
    assert (answer.status_code, code(answer) if status != 200 else "") == (status, refusal)
    if status == 409:
        told = answer.data["errors"][0]["detail"]
        assert "subscribe" in told.lower()
        assert "Pay first" not in told
        ends_on = f"It ends on {shop.subscription.period_end:%d %B %Y}"
        assert (ends_on in told) == (shop.subscription.status in Subscription.LIVE)
    assert (shop.subscription.next_plan, shop.subscription.closed_at_gateway) == (None, True)
    if gone == "customer" or operation == "cancel now":
        assert (shop.subscription.status, Entitlement.objects.live().count()) == ("canceled", 0)
    else:  # what is paid can be watched until its end
        assert shop.subscription.status == "active"
        assert shop.subscription.cancel_at_period_end
        assert Entitlement.objects.live().count() == 1
        again = shop.me.post(url, body)  # safe to repeat
        assert again.status_code == status
    followups.run()

    anew = shop.me.post(f"{API}/subscribe", BY_CARD)

    assert (anew.status_code, anew.data["subscription"]["status"]) == (201, "active")
    assert Subscription.objects.filter(status__in=Subscription.LIVE).count() == 1
    assert Entitlement.objects.live().count() == 1


def test_a_subscription_that_is_gone_ends_with_its_period(shop):
    shop.me.post(f"{API}/subscribe", BY_CARD)
    shop.lose("subscription")
    shop.me.post(f"{MINE}/cancel", {})
    with time_machine.travel(timezone.now() + timedelta(days=32)):
        assert lapsing.end_lapsed() == 1
        assert shop.subscription.status == "canceled"
        assert not Entitlement.objects.live().exists()


def test_a_subscription_that_is_there_again_goes_on(shop):
    """As after keys of another account."""
    shop.me.post(f"{API}/subscribe", BY_CARD)
    kept = dict(shop.stripe.objects)
    shop.lose("subscription")
    assert shop.me.post(f"{MINE}/change", {"plan": "huge"}).status_code == 409
    shop.stripe.objects.update(kept)
    assert shop.me.post(f"{MINE}/resume", {}).status_code == 200
    assert (shop.subscription.closed_at_gateway, shop.subscription.cancel_at_period_end) == (
        False,
        False,
    )
    assert shop.me.post(f"{MINE}/change", {"plan": "huge"}).data["plan"] == "huge"


@cases.crossed(
    operation=["subscribe", "by card", "reconcile", "cancel"],
    begun=["on the checkout", "at the bank"],
)
def test_a_subscription_whose_first_attempt_is_gone_can_begin_anew(shop, operation, begun):
    body = {} if begun == "on the checkout" else ASKED
    dead = shop.me.post(f"{API}/subscribe", body).data["next_action"]["url"]
    shop.lose("checkout.session", "subscription", "payment_intent", "invoice")
    if operation == "reconcile":
        shop.reconcile()
    elif operation == "cancel":
        assert shop.me.post(f"{MINE}/cancel", {}).status_code == 200
    if operation == "by card":
        answer = shop.me.post(f"{API}/subscribe", BY_CARD)
    else:
        answer = shop.me.post(f"{API}/subscribe", {})
        assert answer.data["next_action"]["url"] != dead
        page = Subscription.objects.get(status="incomplete").checkout_id
        shop.stripe.complete_checkout(page)
        shop.service.deliver()
    assert answer.status_code in {200, 201}
    assert Subscription.objects.filter(status="active").count() == 1
    followups.cancel_abandoned()
    assert not Payment.objects.filter(captured=0, status="requires_action").exists()


def test_a_schedule_that_is_gone_does_not_end_its_subscription(shop):
    shop.me.post(f"{API}/subscribe", BY_CARD)
    assert shop.me.post(f"{MINE}/change", {"plan": "tiny"}).data["next_plan"] == "tiny"
    shop.lose("subscription_schedule")
    shop.reconcile()
    assert (shop.subscription.status, shop.subscription.closed_at_gateway) == ("active", False)


def test_a_cancellation_by_a_schedule_is_resumed(shop):
    shop.me.post(f"{API}/subscribe", BY_CARD)
    stripe_endings.cancel_by_schedule(shop.stripe, str(shop.subscription.external_id))
    shop.service.deliver()
    assert shop.subscription.cancel_at_period_end
    answer = shop.me.post(f"{MINE}/resume", {})
    assert (answer.status_code, answer.data["cancel_at_period_end"]) == (200, False)


# --- disputes ---


@pytest.fixture
def dispute(shop):
    shop.me.post(shop.purchase, BY_CARD)
    payment = Payment.objects.get()
    shop.stripe.open_dispute(payment.external_id, 1999)
    sync_payment(gateway="stripe", external_id=payment.external_id)
    url = f"{API}/admin/disputes/{Dispute.objects.get().pk}/evidence"
    assert shop.office.patch(url, {"uncategorized_text": "x"}).status_code == 200
    return url


@pytest.mark.parametrize("gone", [("dispute",), ("dispute", "payment_intent")])
def test_evidence_for_a_dispute_that_is_gone_stays_a_draft(shop, dispute, gone):
    shop.lose(*gone)
    with nothing_changes():
        answer = shop.office.post(f"{dispute}/submit")
    assert (answer.status_code, code(answer)) == (409, "evidence_refused")
    assert "does not have this dispute any more" in answer.data["errors"][0]["detail"]
    assert DisputeEvidence.objects.get().status == "draft"
    shop.reconcile()
    assert shop.order.status == "disputed"


@pytest.mark.usefixtures("dispute")
def test_a_dispute_that_is_gone_does_not_shut_the_buyer_out_for_ever(shop, client_for, viewer):
    shop.lose("dispute", "payment_intent")
    with time_machine.travel(timezone.now() + DISPUTE_OVER_AFTER + timedelta(minutes=1)):
        reconciliation.reconcile(timezone.now())
        assert shop.order.status == "dispute_lost"
        again = client_for(viewer).post(shop.purchase, BY_CARD)
        assert again.data["order"]["status"] == "paid"


# --- follow-ups ---


def test_a_follow_up_that_the_gateway_refuses_stops_no_other(shop, make_video, monkeypatch):
    for video in (shop.video, make_video(price=500)):
        shop.me.post(f"{API}/purchase/{video.pk}", {})
    Order.objects.update(status="expired")
    shop.stripe.trouble.append(400)  # the first request is refused
    monkeypatch.setattr(followups, "_silent_until", 0.0)
    followups.run_unless_silent()
    closed = Order.objects.values_list("checkout_closed", flat=True)
    assert sorted(closed) == [False, True]


def test_a_checkout_that_nobody_began_is_not_there(db):
    with pytest.raises(NotThere):
        fetching.checkout("sandbox", "cs_of_nobody")
