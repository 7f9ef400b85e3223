"""Facts that are learned in one answer of the gateway are booked as if each had come alone."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEntry
from payments import scheduled
from payments.books import verification
from payments.gateways.base import GatewayAway
from payments.gateways.sandbox import SandboxGateway, charging, events, subscriptions
from payments.models import (
    Invoice,
    JournalEntry,
    Order,
    Payment,
    Plan,
    Reconciliation,
    SandboxEvent,
    SandboxPayment,
)
from payments.services.buying import checkout
from payments.services.gateway_news import reconciliation
from payments.services.settling.facts import sync_payment
from payments.services.subscribing.follow_gateway import sync_subscription
from payments.tests.kit import nothing_changes

pytestmark = pytest.mark.django_db
REVENUE = "/api/v1/payments/admin/revenue"


def kinds() -> list[str]:
    return list(JournalEntry.objects.order_by("id").values_list("kind", flat=True))


def test_a_capture_a_refund_and_a_dispute_are_three_facts(
    viewer, make_video, client_for, admin, gateway_is
):
    order, _ = checkout.purchase(
        buyer=viewer,
        video_id=make_video(price=1999).pk,
        options=checkout.PurchaseOptions(),
    )
    paid = charging.charge(
        amount=1999, currency="USD", payment_method="pm_card_visa", reference=str(order.pk), key="k"
    )
    charging.refund(payment_id=paid.pk, amount=500, key="dashboard")
    charging.refund(payment_id=paid.pk, amount=100, key="dashboard again")
    dispute = charging.open_dispute(paid.pk, amount=1000)
    charging.close_dispute(dispute.pk, reinstated=400)
    sync_payment(gateway="sandbox", external_id=paid.pk)

    assert kinds() == ["capture", "refund", "refund", "dispute_reinstated"]
    (row,) = client_for(admin).get(REVENUE).data["totals"]
    assert (row["gross"], row["refunds"], row["disputes"]) == ("19.99", "6.00", "6.00")
    assert (row["sales"], row["net"]) == (1, "7.99")
    with nothing_changes():
        sync_payment(gateway="sandbox", external_id=paid.pk)
    assert verification.verify_ledger().discrepancies == 0


class TestTheHourlyReconciliation:
    def miss(self, order: Order, amount: int) -> None:
        """Refund at the gateway, and lose the webhook event."""
        payment = order.payments.get()
        charging.refund(payment_id=payment.external_id, amount=amount, key=f"missed {amount}")
        SandboxEvent.objects.all().delete()

    def booked(self) -> int:
        return Payment.objects.get().refunded()

    def test_an_outage_of_the_worker_is_made_up_for(self, buy, viewer, make_video):
        order = buy(viewer, make_video(price=1999))
        scheduled.hourly()
        now = timezone.now()
        with time_machine.travel(now + timedelta(hours=1)):
            self.miss(order, 500)
        with time_machine.travel(now + timedelta(days=9)):  # the worker was away for all the time
            scheduled.hourly()
        assert self.booked() == 500
        assert Reconciliation.objects.get().complete_until > now + timedelta(days=8)

    def test_a_run_that_failed_is_made_up_for(self, buy, viewer, make_video, gateway_is):
        class Away(SandboxGateway):
            def list_changes(self, since):
                raise GatewayAway("no answer")

        order = buy(viewer, make_video(price=1999))
        scheduled.hourly()
        now = timezone.now()
        with time_machine.travel(now + timedelta(hours=1)):
            self.miss(order, 500)
        for hours in range(2, 8):
            with gateway_is(Away), time_machine.travel(now + timedelta(hours=hours)):
                scheduled.hourly()
        with time_machine.travel(now + timedelta(hours=8)):
            scheduled.hourly()
        assert self.booked() == 500

    def test_a_shorter_run_by_hand_hides_no_gap(self, buy, viewer, make_video):
        order = buy(viewer, make_video(price=1999))
        scheduled.hourly()
        now = timezone.now()
        with time_machine.travel(now + timedelta(hours=1)):
            self.miss(order, 500)
        with time_machine.travel(now + timedelta(days=2)):
            reconciliation.reconcile(timezone.now() - timedelta(hours=1))
            assert self.booked() == 0
            scheduled.hourly()
        assert self.booked() == 500

    def test_it_looks_back_three_hours_at_least_and_thirty_days_at_most(self, monkeypatch):
        asked = []

        def list_changes(gateway, since):
            asked.append(timezone.now() - since)
            return iter(())

        monkeypatch.setattr(SandboxGateway, "list_changes", list_changes)
        now = timezone.now()
        for later in (timedelta(0), timedelta(minutes=10), timedelta(days=400)):
            with time_machine.travel(now + later, tick=False):
                scheduled.hourly()
        assert asked == [timedelta(hours=3), timedelta(hours=3), timedelta(days=30)]


class TestRenewals:
    def renewed(self) -> int:
        return AuditEntry.objects.filter(action="subscription.renewed").count()

    def test_each_renewal_is_recorded_once(self, subscribe, viewer):
        subscription = subscribe(viewer)
        assert self.renewed() == 0
        for number in (1, 2):
            events.move_clock(timedelta(days=31))
            subscriptions.run_due()
            for _ in range(2):
                sync_subscription(gateway="sandbox", external_id=subscription.external_id)
            assert self.renewed() == number
        # Each period ends where the next one begins, and none before.
        assert not Invoice.objects.exclude(ended_early_at=None).exists()

    def test_an_upgrade_is_no_renewal(self, subscribe, viewer, client_for):
        Plan.objects.create(code="better", name="Better", amount=1999, currency="USD")
        subscribe(viewer)
        answer = client_for(viewer).post("/api/v1/payments/subscription/change", {"plan": "better"})
        assert answer.status_code == 200
        assert self.renewed() == 0
        assert SandboxPayment.objects.count() == 2
