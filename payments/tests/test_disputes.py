"""Money that goes back by other hands: banks, dashboards, and refunds that fail after all."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

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
    def __init__(self, order):
        self.order = order
        self.payment = order.payments.get()

    def sync(self) -> str:
        """What the books and the order say after the gateway was asked, and asked again."""
        sync_payment(gateway="sandbox", external_id=self.payment.external_id)
        with nothing_changes():
            sync_payment(gateway="sandbox", external_id=self.payment.external_id)
        assert_books_balance()
        for row in platform_totals(Period()):
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
    def test_opened_it_takes_the_money_and_the_access(self, sale):
        """Money 46."""
        sale.dispute()
        assert (sale.sync(), sale.may_watch, balances()) == ("disputed", False, {})

    def test_won_both_are_back(self, sale):
        """Money 46."""
        dispute = sale.dispute()
        sale.sync()
        charging.close_dispute(dispute.pk, reinstated=1999)
        assert (sale.sync(), sale.may_watch, balances()) == ("paid", True, SOLD)
        assert Dispute.objects.get().status == "won"

    def test_lost_it_stays_so(self, sale):
        """Money 46."""
        dispute = sale.dispute()
        charging.close_dispute(dispute.pk, reinstated=0)
        assert (sale.sync(), sale.may_watch, balances()) == ("disputed", False, {})
        assert Dispute.objects.get().status == "lost"

    def test_won_in_part_the_rest_is_shared(self, sale):
        """Money 47: the amounts count, whatever the status says."""
        dispute = sale.dispute()
        sale.sync()
        charging.close_dispute(dispute.pk, reinstated=1000)
        assert (sale.sync(), sale.may_watch) == ("disputed", False)
        assert balances() == {"clearing:USD": -1000, "creator:USD": 800, "platform:USD": 200}
        assert Dispute.objects.get().status == "lost"

    def test_an_inquiry_moves_nothing(self, sale):
        """Money 48."""
        sale.dispute(inquiry=True)
        assert (sale.sync(), sale.may_watch, balances()) == ("paid", True, SOLD)
        assert (Dispute.objects.get().status, Dispute.objects.get().withdrawn) == ("warning", 0)

    def test_with_a_refund_of_the_same_money_the_creator_pays_once(self, sale, admin):
        """Money 49: the excess is the platform's loss."""
        sale.refund(actor=admin)
        sale.dispute()
        sale.sync()
        assert balances() == {"clearing:USD": 1999, "losses:USD": -1999}

    @pytest.mark.parametrize("refund_first", [True, False])
    def test_in_either_order_the_books_end_the_same(self, sale, admin, refund_first):
        if refund_first:
            sale.refund(500, admin)
        sale.dispute()
        if not refund_first:  # by the gateway's own dashboard: our button refuses it
            charging.refund(payment_id=sale.payment.external_id, amount=500, key="dashboard")
        sale.sync()
        assert balances() == {"clearing:USD": 500, "losses:USD": -500}

    def test_the_banks_fee_is_the_platforms(self, sale):
        dispute = sale.dispute(fee=1500)
        assert sale.sync() == "disputed"
        assert balances() == {"clearing:USD": 1500, "fees:USD": -1500}
        charging.close_dispute(dispute.pk, reinstated=1999)
        sale.sync()
        assert balances() == {**SOLD, "clearing:USD": -499, "fees:USD": -1500}

    def test_the_refund_button_is_refused_meanwhile(self, sale, client_for, admin):
        """Money 50."""
        sale.dispute()
        sale.sync()
        with nothing_changes():
            answer = client_for(admin).post(
                f"/api/v1/payments/admin/orders/{sale.order.pk}/refund", {}
            )
        assert (answer.status_code, code(answer)) == (409, "disputed")

    def test_a_disputed_video_is_not_bought_again(self, sale, client_for):
        sale.dispute()
        sale.sync()
        with nothing_changes():
            answer = client_for(sale.order.buyer).post(
                f"/api/v1/payments/purchase/{sale.order.video_id}", {"payment_method": VISA}
            )
        assert (answer.status_code, code(answer)) == (409, "already_owned")

    def test_the_switches_do_it_over_http(self, sale, client_for, admin, viewer):
        url = f"/api/v1/payments/sandbox/payments/{sale.payment.pk}"
        assert client_for(viewer).post(f"{url}/dispute", {}).status_code == 403
        assert client_for(admin).post(f"{url}/dispute", {}).status_code == 200
        sale.order.refresh_from_db()
        assert sale.order.status == "disputed"  # told by the signed webhook
        assert client_for(admin).post(f"{url}/reinstate", {}).status_code == 200
        assert (sale.sync(), balances()) == ("paid", SOLD)


class TestRefundsThatFail:
    def fail(self) -> None:
        charging.resolve_refund(SandboxRefund.objects.latest("created_at").pk, succeeds=False)

    def test_share_and_access_are_back(self, sale, admin):
        """Money 42."""
        sale.refund(actor=admin)
        assert (sale.sync(), sale.may_watch, balances()) == ("refunded", False, {})
        self.fail()
        assert (sale.sync(), sale.may_watch, balances()) == ("paid", True, SOLD)

    def test_a_second_refund_debits_again(self, sale, admin):
        """Money 43."""
        sale.refund(actor=admin)
        self.fail()
        sale.sync()
        sale.refund(actor=admin)
        assert (sale.sync(), sale.may_watch, balances()) == ("refunded", False, {})
        assert sorted(Refund.objects.values_list("status", flat=True)) == ["failed", "succeeded"]

    def test_bought_again_meanwhile_it_waits_for_a_person(self, sale, admin, buy):
        """Money 44: superseded, and the one that was bought again keeps its access."""
        sale.refund(actor=admin)
        again = buy(sale.order.buyer, sale.order.video)
        self.fail()
        assert sale.sync() == "superseded"
        assert Entitlement.objects.live().get().source_id == again.pk
        assert balances() == {account: 2 * amount for account, amount in SOLD.items()}

    def test_one_that_is_pending_counts_already(self, sale, admin, buy, make_user):
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


def test_a_refund_of_the_gateways_dashboard_is_mirrored(sale):
    """Money 40, 45: known by its id, even when its news overtakes the capture's."""
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

    def test_soon_and_unseen_it_goes_back(self, sale, client_for):
        self.watch(sale, 0.2)
        answer = self.ask(client_for, sale)
        assert (answer.status_code, answer.data["status"]) == (200, "refunded")
        assert (balances(), sale.may_watch) == ({}, False)
        with nothing_changes():
            assert code(self.ask(client_for, sale)) == "not_refundable"

    def test_too_late_it_does_not(self, sale, client_for):
        with time_machine.travel(timezone.now() + timedelta(days=14, seconds=1)):
            with nothing_changes():
                answer = self.ask(client_for, sale)
            assert (answer.status_code, code(answer)) == (409, "refund_window_closed")

    def test_watched_it_does_not(self, sale, client_for):
        self.watch(sale, 0.21)
        with nothing_changes():
            answer = self.ask(client_for, sale)
        assert (answer.status_code, code(answer)) == (409, "watched_too_much")

    def test_nobody_gives_back_anothers(self, sale, client_for, make_user, creator):
        """Money 84, 85."""
        for stranger in (make_user(), creator, sale.order.creator):
            with nothing_changes():
                assert self.ask(client_for, sale, stranger).status_code == 404


def test_a_receipt_says_what_went_back(sale, client_for, make_user, admin):
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
