"""Each state that waits ends by itself when nobody comes back."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEntry
from payments.gateways.base import GatewayAway
from payments.gateways.sandbox import SandboxGateway, charging
from payments.models import (
    Coupon,
    CouponRedemption,
    Invoice,
    Order,
    Payment,
    Refund,
    SandboxEvent,
    SandboxInvoice,
    SandboxPayment,
    SandboxSubscription,
    Subscription,
    WebhookEvent,
)
from payments.services.buying import checkout
from payments.services.gateway_news import followups, reconciliation
from payments.services.settling.facts import sync_payment
from payments.services.subscribing import subscriptions
from payments.tests.kit import VISA, DyingGateway, Killed, nothing_changes
from videos.signals import worker_tick

pytestmark = pytest.mark.django_db
ASKS = "pm_card_authenticationRequired"
ORDERS = "/api/v1/payments/admin/orders"


class AwayGateway(SandboxGateway):
    """A sandbox that cannot be reached."""

    def list_changes(self, since):
        raise GatewayAway("no answer")


@pytest.fixture
def after(run_minute):
    """Return a function that does the work of a worker's minute, some time later."""

    def tick(**later) -> None:
        with time_machine.travel(timezone.now() + timedelta(**later)):
            run_minute()

    return tick


class TestALostCharge:
    """A process died while it charged a card: the order is PROCESSING without a payment."""

    @pytest.fixture
    def order(self, viewer, make_video) -> Order:
        Coupon.objects.create(code="HALF", percent_bps=5000, max_redemptions=1)
        order, _ = checkout.purchase(
            buyer=viewer,
            video_id=make_video(price=1000).pk,
            options=checkout.PurchaseOptions(coupon="HALF"),
        )
        Order.objects.update(status="processing", changed_at=timezone.now())
        return order

    def test_it_is_open_for_another_card_within_minutes(self, order, after):
        after(minutes=6)
        order.refresh_from_db()
        assert order.status == "pending"

    def test_it_expires_and_frees_its_coupon(self, order, after):
        after(hours=1)
        order.refresh_from_db()
        assert (order.status, CouponRedemption.objects.get().state) == ("expired", "released")
        assert Coupon.objects.get().redeemed == 0

    def test_a_charge_that_the_gateway_has_carried_out_is_taken_over(self, order, after):
        """Also after days without a worker, and without a webhook event."""
        charging.charge(
            amount=500,
            currency="USD",
            payment_method=VISA,
            key=order.charge_key,
            reference=str(order.pk),
        )
        SandboxEvent.objects.update(next_attempt_at=None)
        after(days=3)
        order.refresh_from_db()
        assert (order.status, CouponRedemption.objects.get().state) == ("paid", "used")

    def test_it_waits_while_the_gateway_does_not_answer(self, order, after, gateway_is):
        with gateway_is(AwayGateway), nothing_changes():
            after(hours=1)

    def test_a_charge_that_has_just_begun_is_left_alone(self, order, after):
        with nothing_changes():
            after(minutes=4)


def test_a_payment_that_its_buyer_left_at_the_bank_is_canceled(viewer, make_video, after):
    video = make_video(price=1000)
    order, _ = checkout.purchase(
        buyer=viewer,
        video_id=video.pk,
        options=checkout.PurchaseOptions(),
        payment_method=ASKS,
    )
    after(hours=24)
    assert SandboxPayment.objects.get().status == "requires_action"
    after(hours=25)
    order.refresh_from_db()
    assert (order.status, Payment.objects.get().status) == ("expired", "canceled")
    assert SandboxPayment.objects.get().status == "canceled"


class TestAWebhookEventThatWaits:
    """A process died after it had stored the event, or an error kept it from its end."""

    @pytest.fixture(params=["received", "failed"])
    def event(self, request, viewer, make_video, buy) -> WebhookEvent:
        payment = buy(viewer, make_video(price=1000)).payments.get()
        SandboxEvent.objects.update(next_attempt_at=None)
        charging.open_dispute(payment.external_id)
        SandboxEvent.objects.update(next_attempt_at=None)
        return WebhookEvent.objects.create(
            gateway="sandbox",
            external_id="evt_1",
            type="dispute.created",
            kind="payment",
            object_id=payment.external_id,
            status=request.param,
        )

    def test_it_is_processed_again(self, event, after):
        after(minutes=4)
        event.refresh_from_db()
        assert event.attempts == 0
        after(minutes=6)
        event.refresh_from_db()
        assert (event.status, event.attempts) == ("processed", 1)
        assert Order.objects.get().status == "disputed"

    def test_it_is_given_up_after_eight_attempts(self, event, after, gateway_is):
        WebhookEvent.objects.update(attempts=8)
        after(days=1)
        event.refresh_from_db()
        assert (event.status, event.attempts) == ("failed", 8)


class TestARepeatedRefund:
    """A client repeats a request whose process died before it could answer."""

    @pytest.mark.parametrize("amount", ["4.00", None])
    def test_it_is_made_once(self, client_for, admin, viewer, make_video, buy, gateway_is, amount):
        order = buy(viewer, make_video(price=1000))
        client, body = client_for(admin), {"amount": amount} if amount else {}
        headers = {"Idempotency-Key": "one refund"}

        class DiesAfterwards(SandboxGateway):
            """The refund is taken over, and then the process dies."""

            calls = 0

            def fetch_payment(self, external_id):
                snapshot = super().fetch_payment(external_id)
                sync_payment_of = Payment.objects.get(external_id=external_id)
                if not sync_payment_of.refunds.filter(status="succeeded").exists():
                    with gateway_is(SandboxGateway):
                        sync_payment(gateway="sandbox", external_id=external_id)
                    raise Killed
                return snapshot

        with gateway_is(DiesAfterwards), pytest.raises(Killed):
            client.post(f"{ORDERS}/{order.pk}/refund", body, format="json", headers=headers)
        answer = client.post(f"{ORDERS}/{order.pk}/refund", body, format="json", headers=headers)

        assert answer.status_code == 200
        assert list(Refund.objects.values_list("status", "amount")) == [
            ("succeeded", 400 if amount else 1000)
        ]

    def test_another_key_is_another_refund(self, client_for, admin, viewer, make_video, buy):
        order = buy(viewer, make_video(price=1000))
        for key in ("first", "second"):
            client_for(admin).post(
                f"{ORDERS}/{order.pk}/refund",
                {"amount": "4.00"},
                format="json",
                headers={"Idempotency-Key": key},
            )
        assert Refund.objects.count() == 2


class TestAChangedSubscription:
    """The audit entry of a change names who made it, whichever process applies the gateway's answer."""

    def test_a_cancellation_that_a_webhook_event_applies(self, viewer, subscribe, gateway_is):
        subscribe(viewer)

        class Dies(SandboxGateway):
            def cancel_subscription(self, external_id, *, at_period_end):
                super().cancel_subscription(external_id, at_period_end=at_period_end)
                raise Killed

        with gateway_is(Dies), pytest.raises(Killed):
            subscriptions.cancel(user=viewer, at_period_end=True)
        worker_tick.send(sender=None, every="second")

        assert Subscription.objects.get().cancel_at_period_end
        entry = AuditEntry.objects.get(action="subscription.canceled")
        assert entry.actor_id == viewer.pk

    def test_an_administrators_cancellation_is_recorded_once(self, viewer, admin, subscribe):
        subscribe(viewer)
        subscriptions.cancel(user=viewer, at_period_end=True, actor=admin)
        subscriptions.cancel(user=viewer, at_period_end=True, actor=admin)
        worker_tick.send(sender=None, every="second")
        subscriptions.resume(user=viewer)

        entries = AuditEntry.objects.filter(
            action__in=["subscription.canceled", "subscription.resumed"]
        )
        assert list(entries.order_by("pk").values_list("action", "actor")) == [
            ("subscription.canceled", admin.pk),
            ("subscription.resumed", viewer.pk),
        ]
        assert Subscription.objects.get().changing_by is None


class TestASubscriptionThatNobodyEnds:
    @pytest.fixture
    def subscription(self, viewer, subscribe) -> Subscription:
        return subscribe(viewer)

    def test_a_paused_one_ends_after_the_grace_period(self, subscription, after):
        SandboxSubscription.objects.update(status="paused", period_end=subscription.period_end)
        Subscription.objects.update(status="paused")
        after(days=60)
        subscription.refresh_from_db()
        assert subscription.status == "expired"

    def test_one_that_the_gateway_does_not_know_ends(self, subscription, after):
        Subscription.objects.update(external_id="sbs_unknown")
        after(days=33)
        subscription.refresh_from_db()
        assert (subscription.status, subscription.closed_at_gateway) == ("expired", True)


def test_what_the_gateway_does_not_know_is_not_asked_for_ever(
    viewer, admin, make_video, buy, subscribe, run_minute
):
    order = buy(viewer, make_video(price=1000))
    open_order, _ = checkout.purchase(
        buyer=viewer, video_id=make_video(price=1000).pk, options=checkout.PurchaseOptions()
    )
    checkout.next_action(open_order)
    subscription = subscribe(viewer)
    Payment.objects.filter(order=order).update(external_id="sbx_unknown")
    Order.objects.filter(pk=open_order.pk).update(checkout_id="sbc_unknown", status="canceled")
    Subscription.objects.update(external_id="sbs_unknown", status="canceled")
    refund = Refund.objects.create(
        payment=order.payments.get(), amount=1000, created_at=timezone.now() - timedelta(hours=1)
    )

    followups.run()

    for row in (refund, open_order, subscription):
        row.refresh_from_db()
    assert refund.status == "canceled"
    assert open_order.checkout_closed
    assert subscription.closed_at_gateway
    assert followups.run() == 0


def test_the_gateway_is_asked_for_open_disputes(viewer, make_video, buy):
    """The bank's decision is noticed although its webhook event was lost, however late it comes."""
    payment = buy(viewer, make_video(price=1000)).payments.get()
    dispute = charging.open_dispute(payment.external_id)
    sync_payment(gateway="sandbox", external_id=payment.external_id)
    charging.close_dispute(dispute.pk, reinstated=1000)
    SandboxPayment.objects.update(changed_at=timezone.now() - timedelta(days=30))

    told: list[str] = []
    reconciliation.reconcile(timezone.now() - timedelta(hours=3), on_step=told.append)

    assert told == [f"sandbox payment {payment.external_id}"]
    assert payment.disputes.get().status == "won"
    assert Order.objects.get().status == "paid"


def test_a_charge_by_a_process_that_died_is_found(viewer, make_video, gateway_is, after):
    with gateway_is(DyingGateway), pytest.raises(Killed):
        checkout.purchase(
            buyer=viewer,
            video_id=make_video(price=1000).pk,
            options=checkout.PurchaseOptions(),
            payment_method=VISA,
        )
    SandboxEvent.objects.update(next_attempt_at=None)
    after(minutes=6)
    assert Order.objects.get().status == "paid"


def test_an_unpaid_renewal_is_void_once_its_subscription_has_ended(viewer, after):
    """The sandbox's clock passes the whole unpaid period before the card is charged again."""
    subscriptions.subscribe(
        user=viewer, plan_code="monthly", payment_method="pm_card_chargeCustomerFail"
    )
    after(days=32)
    after(days=64)
    with time_machine.travel(timezone.now() + timedelta(days=64)):
        worker_tick.send(sender=None, every="second")
    unpaid = Invoice.objects.exclude(status="paid").get()
    assert (unpaid.status, unpaid.subscription.status) == ("void", "expired")
    assert not SandboxInvoice.objects.filter(next_attempt_at__isnull=False).exists()
