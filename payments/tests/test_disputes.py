"""Disputes, refunds made at the gateway, refunds that fail, and returns by the buyer."""

from dataclasses import asdict
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEntry
from payments.books.reports import Period, platform_totals
from payments.gateways.sandbox import charging
from payments.models import (
    Dispute,
    Entitlement,
    Order,
    Refund,
    SandboxPayment,
    SandboxRefund,
    WatchDaily,
)
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA, assert_books_balance, balances, code, nothing_changes

pytestmark = pytest.mark.django_db

SOLD = {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


class Sale:
    """A paid order with its payment, and the calls that the tests make about it."""

    def __init__(self, order):
        self.order = order
        self.payment = order.payments.get()

    def sync(self) -> str:
        """Sync the payment twice, check the books, and return the order's status.

        The second sync must change nothing, and the revenue identity must hold.
        """
        sync_payment(gateway="sandbox", external_id=self.payment.external_id)
        with nothing_changes():
            sync_payment(gateway="sandbox", external_id=self.payment.external_id)
        assert_books_balance()
        for row in map(asdict, platform_totals(Period())):
            assert row["gross"] - row["refunds"] - row["disputes"] == (
                row["creator_share"] + row["platform_share"] - row["losses"] - row["promotions"]
                + row["deferred"] + row["pool"] + row["owed_back"] + row["suspense"]
            )  # fmt: skip
        self.order.refresh_from_db()
        return self.order.status

    def dispute(self, **options):
        return charging.open_dispute(self.payment.external_id, **options)

    def refund(self, amount=None, actor=None):
        return refunds.refund_order(order_id=self.order.pk, amount=amount, reason="", actor=actor)

    @property
    def may_watch(self) -> bool:
        return Entitlement.objects.live().filter(user=self.order.buyer).exists()


@pytest.fixture
def sale(buy, viewer, make_video):
    return Sale(buy(viewer, make_video(price=1999)))


class TestDisputes:
    @pytest.mark.promise("dispute-takes-money-and-access")
    def test_an_open_dispute_takes_the_money_and_the_access(self, sale):
        """An open dispute reverses the split and suspends the access."""
        sale.dispute()
        assert (sale.sync(), sale.may_watch, balances()) == ("disputed", False, {})

    @pytest.mark.promise("dispute-takes-money-and-access")
    def test_a_dispute_that_is_won_restores_both(self, sale):
        """A dispute that is won restores the split and the access."""
        dispute = sale.dispute()
        sale.sync()
        charging.close_dispute(dispute.pk, reinstated=1999)
        assert (sale.sync(), sale.may_watch, balances()) == ("paid", True, SOLD)
        assert Dispute.objects.get().status == "won"

    @pytest.mark.promise("dispute-takes-money-and-access")
    def test_a_dispute_that_is_lost_restores_nothing(self, sale):
        """A dispute that is lost leaves the split reversed and the access revoked: the order ends."""
        dispute = sale.dispute()
        charging.close_dispute(dispute.pk, reinstated=0)
        assert (sale.sync(), sale.may_watch, balances()) == ("dispute_lost", False, {})
        assert Dispute.objects.get().status == "lost"

    @pytest.mark.promise("dispute-won-in-part")
    def test_money_returned_by_a_partly_won_dispute_is_split(self, sale):
        """A dispute that returns 1000 of 1999 splits the 1000, though its status is "lost"."""
        dispute = sale.dispute()
        sale.sync()
        charging.close_dispute(dispute.pk, reinstated=1000)
        assert (sale.sync(), sale.may_watch) == ("dispute_lost", False)
        assert balances() == {"clearing:USD": -1000, "creator:USD": 800, "platform:USD": 200}
        assert Dispute.objects.get().status == "lost"

    @pytest.mark.promise("inquiry-moves-nothing")
    def test_an_inquiry_moves_nothing(self, sale):
        """An inquiry takes no money and changes neither the books nor the access."""
        sale.dispute(inquiry=True)
        assert (sale.sync(), sale.may_watch, balances()) == ("paid", True, SOLD)
        assert (Dispute.objects.get().status, Dispute.objects.get().withdrawn) == ("warning", 0)

    @pytest.mark.promise("dispute-and-refund-debit-once")
    def test_a_dispute_and_a_refund_debit_the_creator_once(self, sale, admin):
        """A payment that is refunded and disputed debits the creator once; the excess is the
        platform's loss."""
        sale.refund(actor=admin)
        sale.dispute()
        sale.sync()
        assert balances() == {"clearing:USD": 1999, "losses:USD": -1999}

    @pytest.mark.promise("dispute-and-refund-debit-once")
    @pytest.mark.parametrize("refund_first", [True, False])
    def test_a_dispute_and_a_refund_book_the_same_in_either_order(self, sale, admin, refund_first):
        if refund_first:
            sale.refund(500, admin)
        sale.dispute()
        if not refund_first:  # in the gateway's dashboard, for our API refuses it
            charging.refund(payment_id=sale.payment.external_id, amount=500, key="dashboard")
        sale.sync()
        assert balances() == {"clearing:USD": 500, "losses:USD": -500}

    def test_the_platform_pays_the_dispute_fee(self, sale):
        dispute = sale.dispute(fee=1500)
        assert sale.sync() == "disputed"
        opened = AuditEntry.objects.get(action="dispute.opened")
        assert (opened.data["amount"], opened.data["currency"]) == (1999, "USD")
        assert balances() == {"clearing:USD": 1500, "fees:USD": -1500}
        charging.close_dispute(dispute.pk, reinstated=1999)
        sale.sync()
        assert balances() == {**SOLD, "clearing:USD": -499, "fees:USD": -1500}

    @pytest.mark.promise("disputed-order-not-refunded")
    def test_a_disputed_order_cannot_be_refunded(self, sale, client_for, admin):
        """A refund of a disputed order is answered 409 and changes nothing."""
        sale.dispute()
        sale.sync()
        with nothing_changes():
            answer = client_for(admin).post(
                f"/api/v1/payments/admin/orders/{sale.order.pk}/refund", {}
            )
        assert (answer.status_code, code(answer)) == (409, "disputed")

    def test_a_disputed_video_cannot_be_bought_again(self, sale, client_for):
        sale.dispute()
        sale.sync()
        with nothing_changes():
            answer = client_for(sale.order.buyer).post(
                f"/api/v1/payments/purchase/{sale.order.video_id}", {"payment_method": VISA}
            )
        assert (answer.status_code, code(answer)) == (409, "already_owned")

    def test_an_administrator_opens_and_wins_sandbox_disputes(
        self, sale, client_for, admin, viewer
    ):
        url = f"/api/v1/payments/sandbox/payments/{sale.payment.pk}"
        assert client_for(viewer).post(f"{url}/dispute", {}).status_code == 403
        assert client_for(admin).post(f"{url}/dispute", {}).status_code == 200
        sale.order.refresh_from_db()
        assert sale.order.status == "disputed"  # the signed webhook reported it
        assert client_for(admin).post(f"{url}/reinstate", {}).status_code == 200
        assert (sale.sync(), balances()) == ("paid", SOLD)


class TestRefundsThatFail:
    def fail(self) -> None:
        charging.resolve_refund(SandboxRefund.objects.latest("created_at").pk, succeeds=False)

    @pytest.mark.promise("failed-refund-restores-access")
    def test_a_failed_refund_restores_share_and_access(self, sale, admin):
        """A refund that fails after all gives the creator the share and the buyer the access back."""
        sale.refund(actor=admin)
        assert (sale.sync(), sale.may_watch, balances()) == ("refunded", False, {})
        self.fail()
        assert (sale.sync(), sale.may_watch, balances()) == ("paid", True, SOLD)
        assert AuditEntry.objects.filter(action="refund.failed").count() == 1

    @pytest.mark.promise("failed-refund-can-be-repeated")
    def test_a_second_refund_after_a_failed_one_debits_again(self, sale, admin):
        """After a failed refund, a second refund takes the share and the access again."""
        sale.refund(actor=admin)
        self.fail()
        sale.sync()
        sale.refund(actor=admin)
        assert (sale.sync(), sale.may_watch, balances()) == ("refunded", False, {})
        assert sorted(Refund.objects.values_list("status", flat=True)) == ["failed", "succeeded"]

    @pytest.mark.promise("failed-refund-after-rebuying")
    def test_a_refund_that_fails_after_rebuying_supersedes_the_old_order(self, sale, admin, buy):
        """A refund that fails after a second purchase supersedes the old order; the new access stays."""
        sale.refund(actor=admin)
        again = buy(sale.order.buyer, sale.order.video)
        self.fail()
        assert sale.sync() == "superseded"
        assert Entitlement.objects.live().get().source_id == again.pk
        assert balances() == {account: 2 * amount for account, amount in SOLD.items()}

    def test_a_pending_refund_is_booked_at_once(self, sale, admin, buy, make_user):
        order = buy(make_user(), sale.order.video)
        outside = order.payments.get()
        SandboxPayment.objects.filter(pk=outside.external_id).update(
            payment_method="pm_card_pendingRefund"
        )
        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
        assert Refund.objects.get().status == "pending"
        assert balances() == SOLD
        charging.resolve_refund(SandboxRefund.objects.get().pk, succeeds=True)
        sync_payment(gateway="sandbox", external_id=outside.external_id)
        assert (Refund.objects.get().status, balances()) == ("succeeded", SOLD)


@pytest.mark.promise("refund-at-gateway-is-mirrored")
def test_a_refund_in_the_gateways_dashboard_is_booked(sale):
    """A partial refund made at the gateway is booked with the next sync, and the access stays."""
    charging.refund(payment_id=sale.payment.external_id, amount=1000, key="dashboard")
    assert (sale.sync(), sale.may_watch) == ("paid", True)
    assert balances() == {"clearing:USD": -999, "creator:USD": 800, "platform:USD": 199}


class TestGivingBackOneself:
    URL = "/api/v1/payments/orders/{}/refund"

    def ask(self, client_for, sale, user=None):
        return client_for(user or sale.order.buyer).post(self.URL.format(sale.order.pk))

    def watch(self, sale, part: float) -> None:
        type(sale.order.video).objects.filter(pk=sale.order.video_id).update(duration_seconds=100)
        WatchDaily.objects.create(
            user=sale.order.buyer,
            video=sale.order.video,
            creator_id=sale.order.creator_id,
            day=timezone.now().date(),
            seconds=round(100 * part),
        )

    def test_a_buyer_can_return_an_order_soon_and_unwatched(self, sale, client_for):
        self.watch(sale, 0.2)
        answer = self.ask(client_for, sale)
        assert (answer.status_code, answer.data["status"]) == (200, "refunded")
        assert (balances(), sale.may_watch) == ({}, False)
        with nothing_changes():
            assert code(self.ask(client_for, sale)) == "not_refundable"

    def test_what_was_watched_before_the_purchase_does_not_count(self, sale, client_for):
        """By a rental that is over, for example."""
        self.watch(sale, 0.9)
        WatchDaily.objects.update(day=sale.order.paid_at.date() - timedelta(days=1))
        assert self.ask(client_for, sale).data["status"] == "refunded"

    def test_an_order_cannot_be_returned_after_the_refund_window(self, sale, client_for):
        with time_machine.travel(timezone.now() + timedelta(days=14, seconds=1)):
            with nothing_changes():
                answer = self.ask(client_for, sale)
            assert (answer.status_code, code(answer)) == (409, "refund_window_closed")

    def test_a_watched_video_cannot_be_returned(self, sale, client_for):
        self.watch(sale, 0.21)
        with nothing_changes():
            answer = self.ask(client_for, sale)
        assert (answer.status_code, code(answer)) == (409, "watched_too_much")

    @pytest.mark.promise("others-records-not-found", "creators-cannot-refund")
    def test_only_the_buyer_can_return_an_order(self, sale, client_for, make_user, creator):
        """A stranger, another creator and the video's creator get 404 when they return an order."""
        for stranger in (make_user(), creator, sale.order.creator):
            with nothing_changes():
                assert self.ask(client_for, sale, stranger).status_code == 404


def test_a_receipt_shows_the_refunded_amount(sale, client_for, make_user, admin):
    url = f"/api/v1/payments/orders/{sale.order.pk}/receipt"
    sale.refund(500, admin)
    receipt = client_for(sale.order.buyer).get(url).data
    assert (receipt["amount"], receipt["refunded"]) == ("19.99", "5.00")
    assert receipt["title"] == sale.order.video.title
    assert client_for(make_user()).get(url).status_code == 404
    pending = Order.objects.create(
        buyer=sale.order.buyer, video=sale.order.video, creator=sale.order.creator, kind="rent",
        rental_hours=1, list_amount=1, amount=1, currency="USD", fee_bps=2000, gateway="sandbox",
        expires_at=timezone.now(),
    )  # fmt: skip
    other = client_for(sale.order.buyer).get(f"/api/v1/payments/orders/{pending.pk}/receipt")
    assert other.status_code == 404
