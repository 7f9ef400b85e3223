"""Settling payments: one transaction with its receivers, and payments that fit no order."""

import pytest
from django.utils import timezone
from rest_framework.exceptions import NotFound

from audit.models import AuditEntry
from payments.errors import NothingToRefund
from payments.gateways.base import Change
from payments.gateways.sandbox import checkouts
from payments.models import (
    Entitlement,
    Order,
    Payment,
    Plan,
    SandboxCheckout,
    SandboxPayment,
    SandboxRefund,
    SandboxSubscription,
    Subscription,
)
from payments.receivers import order_follows_payment, split_revenue
from payments.services.gateway_news import changes, followups, reconciliation
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.services.subscribing import follow_gateway
from payments.signals import entitlement_granted, payment_facts_changed
from payments.tests.kit import VISA, SilentGateway, balances, checkout_of, code, nothing_changes

pytestmark = pytest.mark.django_db


class Broken(Exception):
    pass


@pytest.mark.parametrize("signal", [payment_facts_changed, entitlement_granted])
def test_a_receiver_that_fails_undoes_the_capture(client_for, viewer, make_video, signal):
    video = make_video(price=1999)
    client = client_for(viewer)
    client.raise_request_exception = False

    def fail(**kwargs):
        raise Broken

    signal.connect(fail, weak=False)
    try:
        answer = client.post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
    finally:
        signal.disconnect(fail)

    assert answer.status_code == 500
    assert balances() == {}
    assert not Payment.objects.exists()
    assert not Entitlement.objects.exists()
    assert Order.objects.get().status == "processing"
    again = client.post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
    assert again.data["order"]["status"] == "paid"
    assert SandboxPayment.objects.count() == 1
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_a_split_that_was_not_booked_is_booked_by_the_next_sync(viewer, make_video, buy):
    connected = list(payment_facts_changed.receivers)
    assert payment_facts_changed.disconnect(dispatch_uid="payments.split_revenue")
    try:
        order = buy(viewer, make_video(price=1999))
    finally:
        payment_facts_changed.receivers[:] = connected  # connecting again would put it last
    assert balances() == {}
    sync_payment(gateway="sandbox", external_id=order.payments.get().external_id)
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_receivers_change_nothing_when_they_run_again(viewer, make_video, buy):
    payment = buy(viewer, make_video(price=1999)).payments.get()
    with nothing_changes():
        split_revenue(sender=None, payment=payment, kind="capture", at=timezone.now())
        order_follows_payment(sender=None, payment=payment, kind="capture")


def stray_payment(**fields) -> SandboxPayment:
    fields = {"amount": 1999, "currency": "USD", **fields}
    return SandboxPayment.objects.create(
        id=f"sbx_{SandboxPayment.objects.count()}_stray",
        idempotency_key=f"stray:{SandboxPayment.objects.count()}",
        captured=fields["amount"],
        payment_method=VISA,
        **fields,
    )


def test_a_payment_without_an_order_waits_in_suspense():
    stray = stray_payment()
    sync_payment(gateway="sandbox", external_id=stray.pk)
    assert Payment.objects.get().disposition == "unmatched"
    assert balances() == {"clearing:USD": -1999, "suspense:USD": 1999}
    assert not Entitlement.objects.exists()


def test_a_gateway_that_is_silent_is_left_alone_for_a_minute(
    viewer, make_video, buy, gateway_is, monkeypatch
):
    """After a silent gateway the worker skips the follow-ups for a minute, and then does them once."""
    order = buy(viewer, make_video(price=1999))
    sync_payment(gateway="sandbox", external_id=stray_payment().pk, order=order)
    monkeypatch.setattr(followups, "_silent_until", 0.0)
    with gateway_is(SilentGateway), pytest.raises(OSError, match="does not answer"):
        followups.run()
    with gateway_is(SilentGateway):
        assert followups.run_unless_silent() == 0
    assert followups.run_unless_silent() == 0
    assert SandboxRefund.objects.count() == 1  # the gateway made it, and its answer was lost
    monkeypatch.setattr(followups, "_silent_until", 0.0)
    assert followups.run_unless_silent() == 1
    assert SandboxRefund.objects.count() == 1
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_an_administrator_refunds_a_payment_in_suspense(admin, viewer, make_video, buy):
    stray = sync_payment(gateway="sandbox", external_id=stray_payment().pk)
    refunds.refund_unapplied(payment_id=stray.pk, actor=admin)
    assert balances() == {}
    entry = AuditEntry.objects.get(action="suspense.settled")
    assert (entry.actor_id, entry.target_id) == (admin.pk, str(stray.pk))
    paid = buy(viewer, make_video(price=1999)).payments.get()
    with nothing_changes(), pytest.raises(NotFound):
        refunds.refund_unapplied(payment_id=paid.pk, actor=admin)
    with nothing_changes(), pytest.raises(NothingToRefund):
        refunds.refund_unapplied(payment_id=stray.pk, actor=admin)


@pytest.mark.promise("wrong-amount-goes-back")
@pytest.mark.parametrize("fields", [{"amount": 1998}, {"amount": 2000}, {"currency": "EUR"}])
def test_a_payment_of_another_amount_gives_no_access(client_for, viewer, make_video, fields):
    """A capture of another amount or currency does not pay the order: its money goes back by itself."""
    video = make_video(price=1999)
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
    order = Order.objects.get()
    stray = stray_payment(**fields)
    sync_payment(gateway="sandbox", external_id=stray.pk, order=order)
    order.refresh_from_db()
    assert order.status == "pending"
    assert balances() == {
        f"clearing:{stray.currency}": -stray.amount,
        f"customer_refund:{stray.currency}": stray.amount,
    }
    assert not Entitlement.objects.exists()
    followups.run()
    assert balances() == {}
    assert SandboxRefund.objects.get().amount == stray.amount
    with nothing_changes():
        followups.run()


@pytest.mark.promise("duplicate-payment-goes-back")
def test_a_second_payment_of_an_order_goes_back(viewer, make_video, buy):
    """A second payment of a paid order goes back, and the buyer keeps the access."""
    order = buy(viewer, make_video(price=1999))
    sync_payment(gateway="sandbox", external_id=stray_payment().pk, order=order)
    assert balances() == {
        "clearing:USD": -3998,
        "creator:USD": 1600,
        "platform:USD": 399,
        "customer_refund:USD": 1999,
    }
    followups.run()
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    assert Entitlement.objects.live().count() == 1
    order.refresh_from_db()
    assert order.status == "paid"


@pytest.mark.promise("late-payment-supersedes-newer-order")
def test_an_order_that_is_paid_late_supersedes_the_open_one(client_for, viewer, make_video):
    """An expired order that is paid late is paid; the newer open order is superseded, its page
    closed."""
    video = make_video(price=1999)
    client = client_for(viewer)
    client.post(f"/api/v1/payments/purchase/{video.pk}")
    late = Order.objects.get()
    Order.objects.update(expires_at=timezone.now())
    client.post(f"/api/v1/payments/purchase/{video.pk}")
    newer = Order.objects.exclude(pk=late.pk).get()

    sync_payment(gateway="sandbox", external_id=stray_payment().pk, order=late)

    late.refresh_from_db()
    newer.refresh_from_db()
    assert (late.status, newer.status) == ("paid", "superseded")
    assert Entitlement.objects.live().get().source_id == late.pk
    followups.run()
    assert set(SandboxCheckout.objects.values_list("status", flat=True)) == {"expired"}
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


@pytest.mark.promise("duplicate-payment-goes-back")
def test_a_late_payment_for_a_video_that_was_bought_again_goes_back(
    client_for, viewer, make_video, buy
):
    video = make_video(price=1999)
    client = client_for(viewer)
    client.post(f"/api/v1/payments/purchase/{video.pk}")
    late = Order.objects.get()
    assert client.post(f"/api/v1/payments/orders/{late.pk}/cancel").status_code == 200
    bought = buy(viewer, video)

    sync_payment(gateway="sandbox", external_id=stray_payment().pk, order=late)

    late.refresh_from_db()
    assert late.status == "canceled"
    assert Entitlement.objects.live().get().source_id == bought.pk
    assert balances()["customer_refund:USD"] == 1999
    followups.run()
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_a_late_first_payment_activates_its_subscription(client_for, viewer):
    Plan.objects.create(code="yearly", name="Yearly", amount=9900, currency="USD", interval="year")
    client = client_for(viewer)
    client.post("/api/v1/payments/subscribe", {"plan": "monthly"})
    monthly = Subscription.objects.get()
    assert client.post("/api/v1/payments/subscribe", {"plan": "yearly"}).status_code == 201
    monthly.refresh_from_db()
    assert monthly.status == "canceled"

    checkout_id = checkout_of(monthly)
    checkouts.pay(checkout_id, VISA)  # in the other tab, before its page was closed
    changes.sync_checkout(gateway="sandbox", external_id=checkout_id)

    monthly.refresh_from_db()
    assert (monthly.status, monthly.ended_at) == ("active", None)
    assert Subscription.objects.get(plan__code="yearly").status == "canceled"
    answer = client.post("/api/v1/payments/subscribe", {"plan": "yearly"})
    assert (answer.status_code, code(answer)) == (409, "already_subscribed")
    assert balances() == {"clearing:USD": -999, "deferred:USD": 999}


@pytest.mark.promise("second-subscription-refunded")
def test_the_second_of_two_paid_subscriptions_is_refunded(client_for, viewer):
    """A second subscription, paid in another tab, is canceled and its money goes back."""
    Plan.objects.create(code="yearly", name="Yearly", amount=9900, currency="USD", interval="year")
    client = client_for(viewer)
    client.post("/api/v1/payments/subscribe", {"plan": "monthly"})
    monthly = Subscription.objects.get()
    client.post("/api/v1/payments/subscribe", {"plan": "yearly", "payment_method": VISA})

    checkout_id = checkout_of(monthly)
    checkouts.pay(checkout_id, VISA)
    changes.sync_checkout(gateway="sandbox", external_id=checkout_id)
    assert balances()["customer_refund:USD"] == 999
    followups.run()

    yearly = Subscription.objects.get(plan__code="yearly")
    monthly.refresh_from_db()
    assert (yearly.status, yearly.disposition) == ("active", "primary")
    assert (monthly.status, monthly.disposition) == ("canceled", "duplicate")
    assert SandboxSubscription.objects.get(pk=monthly.external_id).ended_at is not None
    assert balances() == {"clearing:USD": -9900, "deferred:USD": 9900}
    assert Entitlement.objects.live().get().source_id == yearly.pk
    with nothing_changes():
        followups.run()


def test_news_of_one_checkout_are_none_of_another(subscribe, viewer, admin):
    """What is compared before and after a change is that of the change's own checkout."""
    for user, checkout in ((viewer, "page_1"), (admin, "page_2")):
        Subscription.objects.filter(pk=subscribe(user).pk).update(checkout_id=checkout)
    (row,) = reconciliation._state("sandbox", Change("checkout", "page_1"))

    assert row[0] == Subscription.objects.get(user=viewer).pk


def test_two_gateways_may_give_the_same_id(subscribe, viewer, admin):
    """A subscription is found by its gateway and its id there, never by the id alone."""
    own, other = subscribe(viewer), subscribe(admin)
    Subscription.objects.filter(pk=own.pk).update(gateway="stripe", external_id="sub_own")
    Subscription.objects.filter(pk=other.pk).update(external_id="sub_same")
    own.refresh_from_db()

    found = follow_gateway._claim_row("stripe", "sub_same", own)

    assert found is not None
    assert (found.gateway, found.external_id, found.user_id) == ("stripe", "sub_same", viewer.pk)
    assert found.disposition == "duplicate"
    other.refresh_from_db()
    assert (other.gateway, other.external_id, other.user_id) == ("sandbox", "sub_same", admin.pk)
