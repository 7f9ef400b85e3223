"""Every transaction locks rows in one order: no two can wait for each other (docs/locking.md)."""

import ast
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.utils import timezone

import accounts.services as accounts
from payments.books import verification
from payments.gateways.sandbox import charging, checkouts
from payments.models import (
    Coupon,
    Invoice,
    Order,
    Payment,
    Payout,
    Plan,
    Refund,
    SandboxCheckout,
    SandboxPayment,
    SandboxRefund,
    Subscription,
    WatchDaily,
)
from payments.periods import Month
from payments.services.buying import checkout, orders, returning
from payments.services.gateway_news import changes, followups, reconciliation
from payments.services.offers import coupons, plans
from payments.services.payouts import payouts
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools
from payments.services.subscribing import subscriptions
from payments.tests.kit import VISA
from payments.tests.lock_recorder import LockRecorder
from payments.tests.months import watch
from videos.services import catalogue
from videos.signals import worker_tick

LOCK_MODULES = {"payments/locks.py", "payments/gateways/sandbox/locks.py"}
FIRST_DAY = datetime(2026, 8, 1, 12, tzinfo=UTC)
AUTHENTICATES, FAILS_LATER = "pm_card_authenticationRequired", "pm_card_chargeCustomerFail"


def test_only_the_modules_of_locks_lock_rows():
    sources = (settings.BASE_DIR / "payments").rglob("*.py")
    lockers = {
        path.relative_to(settings.BASE_DIR).as_posix()
        for path in sources
        if "tests" not in path.parts
        and any(
            isinstance(node, ast.Attribute) and node.attr == "select_for_update"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert lockers == LOCK_MODULES


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_all_flows_lock_tables_in_one_order_and_rows_by_id(
    make_user, make_video, client_for, admin
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time, and no row locks")
    recorder = LockRecorder()
    with time_machine.travel(FIRST_DAY, tick=False) as clock:
        flows = Flows(clock, make_user, make_video, client_for, admin)
        for name in FLOWS:
            with recorder.recording(name):
                getattr(flows, name)()
    recorder.assert_one_order()
    recorder.assert_rows_by_id()
    recorder.assert_parents_first()
    # The flows lock everything that the list in docs/locking.md names.
    locked = {table for rows in recorder.transactions.values() for table, _ in rows}
    assert {f"payments_{name}" for name in ORDER} <= locked


# The main line of docs/locking.md.
ORDER = (
    "payment", "order", "couponredemption", "coupon", "subscription", "invoice", "entitlement",
    "payout", "ledgeraccount",
)  # fmt: skip
FLOWS = (
    "fail_to_renew",
    "renew",
    "buy_beside_an_open_rental",
    "buy_with_a_bank_that_asks",
    "get_for_nothing_beside_open_orders",
    "pay_late_beside_a_newer_order",
    "pay_twice",
    "refund_what_is_being_watched",
    "return_one_of_two",
    "take_a_free_order_back",
    "dispute_what_is_being_watched",
    "give_up_orders",
    "delete_a_video_with_open_orders",
    "subscribe_and_cancel",
    "subscribe_in_two_tabs",
    "change_plans",
    "refund_and_dispute_a_period",
    "change_offers",
    "add_watch_time_of_an_earlier_month",
    "close_a_month",
    "pay_creators",
    "reconcile",
    "verify",
    "deactivate_a_user",
)


class Flows:
    """The flows of money, one method each, through the services and the sandbox gateway."""

    def __init__(self, clock, make_user, make_video, client_for, admin):
        self.clock, self.client_for, self.admin = clock, client_for, admin
        self.make_user, self.make_video = make_user, make_video
        Plan.objects.create(
            code="yearly", name="Yearly", amount=9900, currency="USD", interval="year"
        )
        self.half = Coupon.objects.create(code="HALF", percent_bps=5000, per_user=9)
        self.third = Coupon.objects.create(code="THIRD", percent_bps=3333, per_user=9)
        self.all = Coupon.objects.create(code="ALL", percent_bps=10_000, per_user=9)

    # --- steps ----------------------------------------------------------------------------------

    def video(self):
        return self.make_video(price=1999, rental_price=399, rental_hours=48)

    def order(self, buyer, video, card="", *, coupon="", kind="buy") -> Order:
        options = checkout.PurchaseOptions(kind=kind, coupon=coupon, even_if_covered=True)
        return checkout.purchase(
            buyer=buyer, video_id=video.pk, options=options, payment_method=card
        )[0]

    def subscribe(self, user, plan="monthly", card=VISA) -> Subscription:
        return subscriptions.subscribe(user=user, plan_code=plan, payment_method=card)[0]

    def play(self, user, video) -> None:
        client = self.client_for(user)
        url = client.get(f"/api/v1/stream/{video.pk}").data["stream_url"]
        assert client.get(url).status_code == 302

    def stray(self, **fields) -> SandboxPayment:
        """Money that was paid at the gateway, without a word to us."""
        number = SandboxPayment.objects.count()
        fields = {"amount": 1999, "captured": 1999, "currency": "USD", **fields}
        return SandboxPayment.objects.create(
            id=f"sbx_{number}_stray",
            idempotency_key=f"stray:{number}",
            payment_method=VISA,
            **fields,
        )

    def tick(self) -> None:
        for every in ("second", "minute"):
            for _, outcome in worker_tick.send_robust(sender=None, every=every):
                assert not isinstance(outcome, Exception), outcome

    def sync(self, payment: Payment) -> None:
        sync_payment(gateway="sandbox", external_id=payment.external_id)

    # --- flows ----------------------------------------------------------------------------------

    def buy_beside_an_open_rental(self):
        buyer, video = self.make_user(), self.video()
        rental = self.order(buyer, video, kind="rent", coupon="THIRD")
        assert self.order(buyer, video, VISA, coupon="HALF").status == "paid"
        rental.refresh_from_db()
        assert rental.status == "superseded"
        self.tick()

    def buy_with_a_bank_that_asks(self):
        order = self.order(self.make_user(), self.video(), AUTHENTICATES, coupon="HALF")
        checkouts.authenticate(order.payments.get().external_id, succeeds=True)
        self.tick()
        order.refresh_from_db()
        assert order.status == "paid"

    def get_for_nothing_beside_open_orders(self):
        buyer, video = self.make_user(), self.video()
        self.order(buyer, video, kind="rent", coupon="HALF")
        assert self.order(buyer, video, coupon="ALL").status == "paid"

    def pay_late_beside_a_newer_order(self):
        buyer, video = self.make_user(), self.video()
        late = self.order(buyer, video, coupon="THIRD")
        self.clock.shift(timedelta(days=1))
        orders.expire_orders()
        newer = self.order(buyer, video, coupon="HALF")
        payment = self.stray(amount=late.amount, captured=late.amount)
        sync_payment(gateway="sandbox", external_id=payment.pk, order=late)
        newer.refresh_from_db()
        assert newer.status == "superseded"
        followups.run()

    def pay_twice(self):
        order = self.order(self.make_user(), self.video(), VISA)
        sync_payment(gateway="sandbox", external_id=self.stray().pk, order=order)
        sync_payment(gateway="sandbox", external_id=self.stray().pk)
        followups.run()
        assert Refund.objects.filter(is_automatic=True, status="succeeded").exists()
        unmatched = Payment.objects.get(disposition="unmatched")
        refunds.refund_unapplied(payment_id=unmatched.pk, actor=self.admin)

    def refund_what_is_being_watched(self):
        buyer, video = self.make_user(), self.video()
        order = self.order(buyer, video, VISA, coupon="HALF")
        self.play(buyer, video)
        refunds.refund_order(order_id=order.pk, amount=100, reason="", actor=self.admin)
        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=self.admin)
        self.order(buyer, video, kind="rent", coupon="THIRD")
        for refund in SandboxRefund.objects.filter(payment_id=order.payments.get().external_id):
            charging.resolve_refund(refund.pk, succeeds=False)
        self.tick()
        order.refresh_from_db()
        assert order.status == "paid"

    def return_one_of_two(self):
        buyer = self.make_user()
        order, _ = self.order(buyer, self.video(), VISA), self.order(buyer, self.video(), VISA)
        assert returning.refund_own(order=order).status == "refunded"

    def take_a_free_order_back(self):
        buyer, video = self.make_user(), self.video()
        order = self.order(buyer, video, coupon="ALL")
        self.play(buyer, video)
        taken = orders.give_back(order_id=order.pk, amount=None, reason="", actor=self.admin)
        assert taken.status == "refunded"

    def dispute_what_is_being_watched(self):
        buyer, video = self.make_user(), self.video()
        payment = self.order(buyer, video, VISA).payments.get()
        self.play(buyer, video)
        dispute = charging.open_dispute(payment.external_id)
        self.sync(payment)
        self.order(buyer, video, kind="rent", coupon="THIRD")
        charging.close_dispute(dispute.pk, reinstated=1999)
        self.sync(payment)

    def give_up_orders(self):
        buyer = self.make_user()
        first, second = (self.order(buyer, self.video(), coupon="HALF") for _ in range(2))
        orders.cancel_order(order=first, actor=buyer)
        self.clock.shift(timedelta(days=1))
        self.tick()
        second.refresh_from_db()
        assert second.status == "expired"

    def delete_a_video_with_open_orders(self):
        video, watcher = self.video(), self.make_user()
        self.order(watcher, video, VISA, coupon="HALF")
        self.play(watcher, video)
        for coupon in ("THIRD", "HALF", "THIRD"):
            self.order(self.make_user(), video, coupon=coupon)
        catalogue.delete_video(video=video, actor=self.admin)
        assert Order.objects.filter(video=video, status="expired").count() == 3

    def subscribe_and_cancel(self):
        for at_period_end in (True, False):
            user = self.make_user()
            self.subscribe(user)
            self.play(user, self.video())
            subscriptions.cancel(user=user, at_period_end=at_period_end)
        user = self.make_user()
        self.subscribe(user, card="")
        subscriptions.cancel(user=user, at_period_end=True)
        abandoned = self.subscribe(self.make_user(), card="")
        self.clock.shift(timedelta(days=2))
        self.tick()
        abandoned.refresh_from_db()
        assert abandoned.status == "incomplete_expired"

    def subscribe_in_two_tabs(self):
        for second_card in ("", VISA):
            user = self.make_user()
            monthly = self.subscribe(user, card="")
            subscriptions.next_action(monthly)
            self.subscribe(user, "yearly", second_card)
            checkout = SandboxCheckout.objects.get(reference=str(monthly.pk))
            checkouts.pay(checkout.pk, VISA)
            changes.sync_checkout(gateway="sandbox", external_id=checkout.pk)
            self.tick()
        assert Subscription.objects.get(disposition="duplicate").status == "canceled"

    def change_plans(self):
        user = self.make_user()
        self.subscribe(user)
        self.clock.shift(timedelta(days=3))
        assert subscriptions.change(user=user, plan_code="yearly").plan.code == "yearly"
        assert subscriptions.change(user=user, plan_code="monthly").next_plan is not None
        subscriptions.set_payment_method(user=user, payment_method=VISA)
        self.tick()

    def refund_and_dispute_a_period(self):
        user = self.make_user()
        invoice = self.subscribe(user).invoices.get()
        self.play(user, self.video())
        refunds.refund_invoice(invoice_id=invoice.pk, amount=1, reason="", actor=self.admin)
        payment = invoice.payments.get()
        dispute = charging.open_dispute(payment.external_id, amount=500)
        self.sync(payment)
        charging.close_dispute(dispute.pk, reinstated=500)
        self.sync(payment)
        refunds.refund_invoice(invoice_id=invoice.pk, amount=None, reason="", actor=self.admin)
        self.tick()

    def renew(self):
        subscription = self.subscribe(self.make_user())
        self.clock.shift(timedelta(days=32))
        self.tick()
        assert subscription.invoices.count() == 2

    def fail_to_renew(self):
        user = self.make_user()
        subscription = self.subscribe(user, card=FAILS_LATER)
        self.play(user, self.video())
        for days in (32, 1, 3, 5):
            self.clock.shift(timedelta(days=days))
            self.tick()
        subscription.refresh_from_db()
        assert subscription.status == "expired"

    def change_offers(self):
        coupons.change_coupon(coupon_id=self.half.pk, actor=self.admin, max_redemptions=99)
        plan = Plan.objects.get(code="yearly")
        plans.change_plan(plan_id=plan.pk, actor=self.admin, name="A year")

    def add_watch_time_of_an_earlier_month(self):
        user, now = self.make_user(), timezone.now()
        self.subscribe(user)
        self.play(user, self.video())
        milliseconds = int(now.timestamp() * 1000)
        apps.get_model("streaming.PlaybackSession").objects.filter(user=user).update(
            counted_seconds=60,
            last_heartbeat_at=now,
            moments=[[milliseconds - 60_000, milliseconds]],
        )
        self.clock.shift(timedelta(days=32))
        self.tick()
        assert WatchDaily.objects.get(user=user).plan_seconds == 60

    def close_a_month(self):
        subscriber = Subscription.objects.filter(status="active").latest("pk").user
        watch(subscriber, self.video(), f"{timezone.now():%Y-%m-%d}", 60)
        month, last = Month.of(FIRST_DAY), Month.of(timezone.now())
        self.clock.shift(timedelta(days=40))
        while month <= last:
            pools.close_month(month, actor=self.admin)
            assert pools.verify_month(month) == []
            month = month.next()
        assert Invoice.objects.filter(recognised__gt=0).exists()

    def pay_creators(self):
        self.clock.shift(timedelta(days=60))
        paid, failed, canceled = payouts.run()[:3]
        for payout in (paid, failed):
            payouts.approve(payout_id=payout.pk, actor=self.admin)
            payouts.mark_processing(payout_id=payout.pk, actor=self.admin)
        payouts.mark_paid(payout_id=paid.pk, external_ref="SEPA-1", actor=self.admin)
        payouts.mark_failed(payout_id=failed.pk, reason="", actor=self.admin)
        payouts.cancel(payout_id=canceled.pk, actor=self.admin)
        sold = Order.objects.filter(creator=paid.creator, status="paid", amount__gt=0).latest("pk")
        refunds.refund_order(order_id=sold.pk, amount=None, reason="", actor=self.admin)
        payouts.write_off(creator_id=paid.creator_id, currency="USD", actor=self.admin)

    def reconcile(self):
        order = self.order(self.make_user(), self.video(), AUTHENTICATES, coupon="HALF")
        checkouts.authenticate(order.payments.get().external_id, succeeds=True)
        reconciliation.reconcile(timezone.now() - timedelta(hours=1))
        order.refresh_from_db()
        assert order.status == "paid"

    def verify(self):
        assert verification.verify_ledger().discrepancies == 0
        # Only a suspect row is looked at again under its lock.
        payment = Payment.objects.filter(order__status="paid").latest("pk")
        Payment.objects.filter(pk=payment.pk).update(fee=7)
        Order.objects.filter(payments=payment).update(status="disputed")
        active = Subscription.objects.filter(status="active").latest("pk")
        Subscription.objects.filter(pk=active.pk).update(status="canceled")
        Payout.objects.filter(status="failed").update(status="processing")
        assert verification.verify_ledger().discrepancies >= 4

    def deactivate_a_user(self):
        user, video = self.make_user(), self.video()
        self.play(user, self.make_video())
        self.subscribe(user)
        self.order(user, video, coupon="HALF")
        accounts.set_active(user_id=user.pk, is_active=False, actor=self.admin)
        self.tick()
        buyer = self.make_user()
        self.order(buyer, video, coupon="HALF")
        self.play(self.make_user(), self.make_video(creator=video.creator))
        accounts.set_active(user_id=video.creator.pk, is_active=False, actor=self.admin)
        self.tick()
