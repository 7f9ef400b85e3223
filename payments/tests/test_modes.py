"""The mode of the database: play money never pays for anything that is live, nor the other way round."""

import importlib
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import AuditEntry
from config.tests.doctoring import said, worst
from payments import modes
from payments.gateways.sandbox import charging, events
from payments.models import (
    Coupon,
    CouponRedemption,
    Dispute,
    DisputeEvidence,
    Entitlement,
    JournalEntry,
    LedgerAccount,
    MoneyMode,
    Notice,
    Order,
    Payout,
    Pool,
    SandboxEvent,
    SandboxSubscription,
    Statement,
    Subscription,
    WebhookEvent,
)
from payments.modes import Mode
from payments.periods import Month
from payments.services.gateway_news import followups
from payments.services.modes import switching
from payments.services.payouts import payouts
from payments.services.settling import evidence as evidence_service
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools
from payments.tests import stripe_stand_in
from payments.tests.kit import VISA, balances, code, nothing_changes, together
from payments.tests.months import watch
from videos.models import WorkerPresence
from videos.signals import worker_tick

pytestmark = [pytest.mark.django_db, pytest.mark.months]
API = "/api/v1/payments"
LIVE_KEY = "sk_live_of_the_stand_in"


@pytest.fixture
def client_for(client_for):
    """The API clients of this file show an answer with 503 as a client sees it."""

    def make(user=None):
        client = client_for(user)
        client.raise_request_exception = False
        return client

    return make


@pytest.fixture
def stripe(settings, monkeypatch) -> Iterator[stripe_stand_in.StripeStandIn]:
    """The stand-in of Stripe. It is used once `use` has set a key."""
    with stripe_stand_in.StripeStandIn() as running:
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_WEBHOOK_SECRETS = [stripe_stand_in.SECRET]
        yield running


@pytest.fixture
def use(settings, monkeypatch, stripe):
    """Return a function that configures the service for Stripe with a key, or for the sandbox."""

    def configure(key: str = "") -> None:
        settings.PAYMENT_GATEWAY = "stripe" if key else "sandbox"
        settings.STRIPE_SECRET_KEY = key
        monkeypatch.setattr(stripe_stand_in.server, "KEY", key)

    return configure


@pytest.fixture
def video(creator, make_video):
    return make_video(creator=creator, price=2000, rental_price=500, rental_hours=48)


class Played:
    """What people have done in the sandbox: every kind of row that a mode can hold."""

    def __init__(self, creator, video, viewer, make_user, client_for, admin, buy, subscribe):
        self.video, self.viewer, self.subscriber = video, viewer, make_user()
        with ago(days=60):
            buy(make_user(), video)
        with ago(days=40):
            (self.paid_out,) = payouts.request(creator)
            payouts.approve(payout_id=self.paid_out.pk, actor=admin)
            payouts.mark_paid(payout_id=self.paid_out.pk, external_ref="PLAY-1", actor=admin)
            buy(make_user(), video)
        with ago(days=20):
            (self.under_way,) = payouts.request(creator)
        with ago(days=1):
            self.play(creator, video, viewer, make_user, client_for, buy, subscribe)

    def play(self, creator, video, viewer, make_user, client_for, buy, subscribe) -> None:
        for code_, funded_by in (("FREE", "platform"), ("ONCE", "creator")):
            Coupon.objects.create(
                code=code_,
                percent_bps=10_000,
                funded_by=funded_by,
                creator=creator if funded_by == "creator" else None,
                max_redemptions=1,
            )
        self.order = buy(viewer, video)
        subscribe(self.subscriber)
        buy(make_user(), video)
        disputed = buy(make_user(), video).payments.get()
        charging.open_dispute(disputed.external_id, fee=1500)
        sync_payment(gateway="sandbox", external_id=disputed.external_id)
        for client, body in (
            (client_for(make_user()), {"coupon": "FREE"}),
            (client_for(make_user()), {"coupon": "ONCE"}),
            (client_for(make_user()), {"kind": "rent", "payment_method": VISA}),
            (client_for(make_user()), {"payment_method": "pm_card_authenticationRequired"}),
        ):
            answer = client.post(f"{API}/purchase/{video.pk}", body)
            assert answer.status_code in {201, 202}, answer.data
        self.waiting = make_user()
        page = client_for(self.waiting).post(f"{API}/purchase/{video.pk}")
        self.page = page.data["next_action"]["url"].partition("testserver")[2]
        self.subscribing = make_user()
        client_for(self.subscribing).post(f"{API}/subscribe", {"plan": "monthly"})
        watch(self.subscriber, video, f"{timezone.now():%Y-%m-%d}", 60)
        events.deliver_due()


def ago(**time):
    """Set the clock back while the block runs."""
    return time_machine.travel(timezone.now() - timedelta(**time))


@pytest.fixture
def played(creator, video, viewer, make_user, client_for, admin, buy, subscribe) -> Played:
    return Played(creator, video, viewer, make_user, client_for, admin, buy, subscribe)


def switch(target: str, words: str = "") -> None:
    before = modes.of_database()
    call_command("payments_mode", target, "--confirm", words or f"{before}-to-{target}")


def assert_right_books() -> None:
    call_command("verify_ledger")  # raises for a discrepancy


def test_a_new_database_takes_the_mode_of_its_first_order(client_for, viewer, video):
    assert modes.of_database() is None
    client_for(viewer).post(f"{API}/purchase/{video.pk}")
    assert modes.of_database() == Mode.SANDBOX
    assert (worst("payments_mode"), "sandbox" in said("payments_mode")) == ("ok", True)


def test_showing_the_modes_changes_nothing(client_for, use):
    use(LIVE_KEY)
    client_for().get(f"{API}/config")
    worst("payments_mode")
    call_command("payments_mode")
    assert not MoneyMode.objects.exists()


class TestWithKeysOfAnotherMode:
    """The operator sets live keys beside the sandbox's database, and starts the service."""

    @pytest.fixture(autouse=True)
    def _live_keys(self, played, use):
        Notice.objects.update(sent_at=timezone.now())
        use(LIVE_KEY)

    def test_no_money_moves(self, played, client_for, make_user, creator, admin, stripe, settings):
        """Each door that takes or gives money is closed, and says which command decides."""
        settings.REFUND_WINDOW_DAYS = 60
        names = {"video": played.video.pk, "order": played.order.pk, "payout": played.paid_out.pk}
        back = {"external_ref": "x", "failure": "x"}
        for user, path, body in (
            (make_user(), "purchase/{video}", {}),
            (make_user(), "purchase/{video}", {"payment_method": VISA}),
            (make_user(), "subscribe", {"plan": "monthly", "payment_method": VISA}),
            (played.waiting, "purchase/{video}", {"payment_method": VISA}),
            (played.waiting, "purchase/{video}", {"coupon": "ONCE"}),
            (played.subscribing, "subscribe", {"plan": "monthly"}),
            (played.subscriber, "subscription/cancel", {}),
            (played.subscriber, "subscription/payment-method", {"payment_method": VISA}),
            (played.viewer, "orders/{order}/refund", {}),
            (played.viewer, "orders/{order}/sync", {}),
            (creator, "creator/payouts", {}),
            (admin, "admin/orders/{order}/refund", {}),
            (admin, "admin/payouts/run", {}),
            (admin, "admin/payouts/{payout}/mark-returned", back),
            (admin, "admin/reconcile", {}),
        ):
            with nothing_changes():
                answer = client_for(user).post(f"{API}/{path.format(**names)}", body)
            assert (answer.status_code, code(answer)) == (503, "payments_closed"), (path, answer)
            assert "payments_mode" in answer.data["errors"][0]["detail"]
        assert stripe.requests == []

    def test_open_pages_of_the_sandbox_take_no_money(self, played, client):
        for method in (client.get, client.post):
            with nothing_changes():
                answer = method(played.page, {"button": "pay"})
            assert answer.status_code == 410
            assert b"Nothing was charged" in answer.content

    def test_the_sandbox_is_not_believed(self, played, client, client_for, admin):
        body, headers = events.message(SandboxEvent.objects.earliest("pk"))
        with nothing_changes():
            answer = client.post(
                f"{API}/webhooks/sandbox", body, "application/json", headers=headers
            )
            assert answer.status_code == 404
            for path in ("clock", *(f"payments/{played.order.pk}/{way}" for way in
                                    ("dispute", "reinstate", "refund-fail"))):  # fmt: skip
                answer = client_for(admin).post(f"{API}/sandbox/{path}", {"days": 40})
                assert (answer.status_code, code(answer)) == (410, "sandbox_closed")

    def test_the_worker_calls_nobody_and_writes_to_nobody(self, played, mailoutbox, stripe):
        Notice.objects.create(user=played.viewer, subject="x", body="x", dedupe_key="waits")
        with (
            time_machine.travel(timezone.now() + timedelta(days=90)),
            nothing_changes(),
        ):
            for every in ("second", "minute", "hour"):
                for _, outcome in worker_tick.send_robust(sender=None, every=every):
                    assert not isinstance(outcome, Exception), outcome
        assert mailoutbox == []
        assert stripe.requests == []

    def test_videos_are_served_and_the_operator_is_told(self, played, client_for):
        answer = client_for(played.viewer).get(f"/api/v1/videos/{played.video.pk}")
        assert answer.status_code == 200
        assert worst("payments_mode") == "error"
        assert "Payments are closed" in said("payments_mode")
        assert "payments_mode live" in said("payments_mode")

    def test_the_command_shows_what_it_would_do_and_does_nothing(self, capsys):
        with nothing_changes():
            call_command("payments_mode", "live")
            shown = capsys.readouterr().out
            with pytest.raises(CommandError, match="must be sandbox-to-live"):
                switch("live", "yes")
        for line in ("8  paid or disputed orders: void", "2  live subscriptions: ended",
                     "2  open checkouts: closed", "1  payouts under way: canceled", "sandbox-to-live",
                     "USD owed to a creator (1 accounts): zero"):  # fmt: skip
            assert line in shown, shown
        assert modes.of_database() == Mode.SANDBOX

    def test_the_command_waits_for_the_workers_to_stop(self):
        now = timezone.now()
        WorkerPresence.objects.create(name="worker-1", started_at=now, seen_at=now)
        with nothing_changes(), pytest.raises(CommandError, match=r"worker-1.*Stop the service"):
            switch("live")


class TestAfterTheSwitch:
    @pytest.fixture(autouse=True)
    def _switched(self, played, use):
        use(LIVE_KEY)
        switch("live")
        self.switched_at = timezone.now()

    def test_nothing_of_the_sandbox_gives_access_or_money(self, played, creator, client_for):
        assert balances() == {}
        assert_right_books()
        assert not Entitlement.objects.live().exists()
        assert not Order.objects.filter(status__in=Order.LIVE).exists()
        assert not Subscription.objects.filter(status__in=Subscription.LIVE).exists()
        assert not SandboxSubscription.objects.filter(ended_at=None).exists()
        assert not Payout.objects.filter(status__in=Payout.IN_FLIGHT).exists()
        assert set(CouponRedemption.objects.values_list("state", flat=True)) == {"released"}
        assert set(Coupon.objects.values_list("redeemed", flat=True)) == {0}
        assert not Notice.objects.filter(sent_at=None, failed_at=None).exists()
        entry = AuditEntry.objects.get(action="payments.mode_changed")
        assert (entry.data["before"], entry.data["after"]) == ("sandbox", "live")
        stream = client_for(played.viewer).get(f"/api/v1/stream/{played.video.pk}")
        assert stream.status_code in {402, 403}, stream.data

    def test_no_report_counts_play_money(self, creator, client_for, admin, played):
        own, office = client_for(creator), client_for(admin)
        for row in own.get(f"{API}/creator/balance").data["balances"]:
            amounts = {name: value for name, value in row.items() if name != "currency"}
            assert set(amounts.values()) == {"0.00"}
        assert own.get(f"{API}/creator/earnings").data["totals"] == []
        assert own.get(f"{API}/creator/payouts").data["results"] == []
        assert office.get(f"{API}/admin/revenue?group_by=day").json() == {
            "totals": [],
            "series": [],
        }
        review = office.get(f"{API}/admin/review").data
        assert not any(review.values()), review
        assert client_for(played.subscriber).get(f"{API}/invoices").data["results"] == []

    def test_play_money_is_never_paid_out(self, creator, client_for, admin, played):
        with time_machine.travel(timezone.now() + timedelta(days=60)), nothing_changes():
            answer = client_for(creator).post(f"{API}/creator/payouts")
            assert (answer.status_code, code(answer)) == (409, "nothing_to_pay_out")
            assert client_for(admin).post(f"{API}/admin/payouts/run").data["payouts"] == []
            back = client_for(admin).post(
                f"{API}/admin/payouts/{played.paid_out.pk}/mark-returned",
                {"external_ref": "x", "failure": "x"},
            )
            assert (back.status_code, code(back)) == (409, "payout_state")

    def test_no_month_shares_play_money(self, played):
        for month in (Month.of(self.switched_at.date() - timedelta(days=32)),):
            with time_machine.travel(month.end + timedelta(days=3)), nothing_changes():
                assert pools.close_month(month) == []
        month = Month.of(self.switched_at.date())
        with time_machine.travel(month.end + timedelta(days=3)):
            pools.close_month(month)
        assert not Pool.objects.filter(amount__gt=0).exists()
        assert not Statement.objects.exists()
        assert_right_books()

    def test_nothing_old_can_be_refunded_or_repeated(self, played, client_for, admin, stripe):
        with nothing_changes():
            refund = client_for(admin).post(f"{API}/admin/orders/{played.order.pk}/refund")
            assert (refund.status_code, code(refund)) == (409, "not_refundable")
            call_command("reconcile_payments")
            for every in ("second", "minute", "hour"):
                for _, outcome in worker_tick.send_robust(sender=None, every=every):
                    assert not isinstance(outcome, Exception), outcome
        assert {method for method, *_ in stripe.requests} <= {"GET"}

    def test_open_pages_of_the_sandbox_take_no_money(self, played, client):
        with nothing_changes():
            assert client.post(played.page, {"button": "pay"}).status_code == 410

    def test_live_money_counts_alone(self, played, creator, client_for, admin, use):
        """The same buyer buys the same video again, now at Stripe: no other money is there."""
        bought = client_for(played.viewer).post(
            f"{API}/purchase/{played.video.pk}", {"payment_method": VISA}
        )
        assert (bought.status_code, bought.data["order"]["status"]) == (201, "paid"), bought.data
        with time_machine.travel(timezone.now() + timedelta(days=20)):
            (balance,) = client_for(creator).get(f"{API}/creator/balance").data["balances"]
            assert balance["available"] == "16.00"
            (made,) = client_for(creator).post(f"{API}/creator/payouts").data["payouts"]
            assert made["amount"] == "16.00"
        (total,) = client_for(admin).get(f"{API}/admin/revenue").data["totals"]
        assert (total["gross"], total["sales"], total["mrr"]) == ("20.00", 1, "0.00")
        month = Month.of(self.switched_at.date())
        with time_machine.travel(month.end + timedelta(days=3)):
            pools.close_month(month)
        assert pools.verify_month(month) == []
        assert '"opening":"0.00"' in Statement.objects.get().body
        assert_right_books()

    def test_a_switch_is_made_once(self):
        with nothing_changes():
            call_command("payments_mode", "live", "--confirm", "sandbox-to-live")
        assert MoneyMode.objects.count() == 2

    def test_money_that_comes_in_after_all_is_found(self, played):
        """A process that was not stopped books a payment of the sandbox: the ledger check tells."""
        entry = JournalEntry.objects.create(
            key="late", kind="adjustment", payment=played.order.payments.get()
        )
        entry.transfers.create(
            debit=LedgerAccount.objects.get(code="clearing:sandbox:USD"),
            credit=LedgerAccount.objects.get(code="platform:USD"),
            amount=1,
            currency="USD",
        )
        with pytest.raises(CommandError):
            assert_right_books()


class TestOtherWays:
    def test_a_copy_of_a_live_database_does_nothing_in_the_sandbox(
        self, played, use, client_for, make_user, mailoutbox
    ):
        """The backup of the live database is restored on a staging machine without live keys."""
        use(LIVE_KEY)
        switch("live")
        client_for(played.viewer).post(
            f"{API}/purchase/{played.video.pk}", {"payment_method": VISA}
        )
        use()
        assert Notice.objects.filter(sent_at=None, failed_at=None).exists()
        with nothing_changes():
            worker_tick.send(sender=None, every="second")
            answer = client_for(make_user()).post(f"{API}/purchase/{played.video.pk}")
        assert (answer.status_code, code(answer)) == (503, "payments_closed")
        assert mailoutbox == []
        with time_machine.travel(timezone.now() + timedelta(seconds=1)):
            switch("sandbox")
        worker_tick.send(sender=None, every="second")
        assert mailoutbox == []
        assert balances() == {}
        assert_right_books()
        with time_machine.travel(timezone.now() + timedelta(seconds=2)):
            bought = client_for(played.viewer).post(
                f"{API}/purchase/{played.video.pk}", {"payment_method": VISA}
            )
        assert bought.data["order"]["status"] == "paid"
        assert_right_books()

    def test_leaving_the_live_mode_says_what_it_costs(self, use, client_for, viewer, video, capsys):
        use(LIVE_KEY)
        client_for(viewer).post(f"{API}/purchase/{video.pk}", {"payment_method": VISA})
        call_command("payments_mode", "sandbox")
        assert "LIVE money" in capsys.readouterr().out

    def test_stripes_test_mode_is_another_mode_than_its_live_mode(
        self, use, client, client_for, viewer, admin, video, stripe, settings
    ):
        use("sk_test_of_the_stand_in")
        bought = client_for(viewer).post(f"{API}/purchase/{video.pk}", {"payment_method": VISA})
        assert bought.data["order"]["status"] == "paid", bought.data
        order = Order.objects.get()
        assert modes.of_database() == Mode.TEST
        body, headers = stripe.signed("payment_intent.succeeded", order.payments.get().external_id)

        use(LIVE_KEY)
        with nothing_changes():
            closed = client_for(admin).post(f"{API}/admin/orders/{order.pk}/refund")
            assert (closed.status_code, code(closed)) == (503, "payments_closed")
            hook = client.post(f"{API}/webhooks/stripe", body, "application/json", headers=headers)
            assert hook.status_code == 404
        switch("live")
        assert balances() == {}
        with nothing_changes():
            hook = client.post(f"{API}/webhooks/stripe", body, "application/json", headers=headers)
            assert hook.status_code == 400  # a message of the test mode
            refund = client_for(admin).post(f"{API}/admin/orders/{order.pk}/refund")
            assert (refund.status_code, code(refund)) == (409, "not_refundable")
        assert_right_books()

    @pytest.mark.django_db(transaction=True)
    def test_two_switches_at_once_are_one(self, played, use):
        use(LIVE_KEY)
        done = together([lambda: switching.switch(Mode.LIVE)] * 3)
        assert sorted(done) == [False, False, True]
        assert balances() == {}
        assert_right_books()

    @pytest.mark.django_db(transaction=True)
    def test_the_first_two_orders_at_once_agree(self, settings):
        done = together([lambda: modes.record_first_use(Mode.SANDBOX)] * 4)
        assert done == [Mode.SANDBOX] * 4


@pytest.mark.parametrize(
    ("gateways_used", "checkout", "key", "mode"),
    [
        ([], "", "sk_live_x", None),
        (["sandbox"], "", "sk_live_x", "sandbox"),
        (["stripe"], "", "sk_test_x", "test"),
        (["stripe"], "", "sk_live_x", "live"),
        (["stripe"], "", "", "live"),
        (["stripe"], "cs_test_1", "sk_live_x", "test"),
        (["stripe"], "cs_live_1", "sk_test_x", "live"),
        (["sandbox", "stripe"], "", "sk_live_x", "live"),
    ],
)
def test_a_database_that_is_upgraded_gets_the_mode_of_its_facts(
    settings, make_user, video, buy, gateways_used, checkout, key, mode
):
    for name in gateways_used:
        order = buy(make_user(), video)
        Order.objects.filter(pk=order.pk).update(gateway=name, checkout_id=checkout or None)
        order.payments.update(gateway=name)
    MoneyMode.objects.all().delete()
    settings.STRIPE_SECRET_KEY = key
    migration = importlib.import_module("payments.migrations.0010_money_modes")
    migration.mode_of_the_facts(apps, None)
    assert modes.of_database() == mode


class TestOfAnEarlierMode:
    """What is left of the sandbox in a live database says so, and costs the live one nothing."""

    @pytest.fixture
    def office(self, client_for, admin):
        return client_for(admin)

    @pytest.fixture
    def evidence(self, played, office) -> str:
        url = f"{API}/admin/disputes/{Dispute.objects.get().pk}/evidence"
        assert office.patch(url, {"uncategorized_text": "x"}).status_code == 200
        return url

    def assert_refused(self, answer) -> None:
        assert (answer.status_code, code(answer)) == (409, "earlier_mode")
        assert "earlier mode" in answer.data["errors"][0]["detail"]

    def test_evidence_is_not_submitted_before_the_switch(self, evidence, use, office):
        use(LIVE_KEY)
        file = {"file": SimpleUploadedFile("a.pdf", b"%PDF-1.7")}
        for answer in (
            office.post(f"{evidence}/submit"),
            office.put(f"{evidence}/files/receipt", file, format="multipart"),
        ):
            assert (answer.status_code, code(answer)) == (503, "payments_closed")
        assert DisputeEvidence.objects.get().status == "draft"

    @pytest.mark.parametrize("status", ["draft", "submitting"])
    def test_evidence_cannot_change_after_it(self, evidence, use, office, status):
        DisputeEvidence.objects.update(status=status)
        use(LIVE_KEY)
        switch("live")
        file = {"file": SimpleUploadedFile("a.pdf", b"%PDF-1.7")}
        shown = office.get(evidence).data
        assert (shown["status"], shown["is_open"]) == ("draft", False)
        self.assert_refused(office.post(f"{evidence}/submit"))
        self.assert_refused(office.patch(evidence, {"uncategorized_text": "y"}))
        self.assert_refused(office.put(f"{evidence}/files/receipt", file, format="multipart"))
        assert DisputeEvidence.objects.get().texts == {"uncategorized_text": "x"}

    @pytest.mark.usefixtures("evidence")
    def test_evidence_of_an_older_release_does_not_slow_the_follow_ups(self, use, monkeypatch):
        use(LIVE_KEY)
        switch("live")
        long_ago = timezone.now() - timedelta(minutes=5)
        DisputeEvidence.objects.update(status="submitting", changed_at=long_ago)
        monkeypatch.setattr(followups, "_silent_until", 0.0)
        followups.run_unless_silent()
        assert followups._silent_until == 0.0
        assert DisputeEvidence.objects.get().status == "draft"
        assert evidence_service.due_submissions() == []

    def test_an_order_and_an_event_of_it_say_so(self, played, use, client_for, office):
        event = WebhookEvent.objects.filter(kind="payment").earliest("received_at")
        use(LIVE_KEY)
        switch("live")
        with nothing_changes():
            self.assert_refused(
                client_for(played.viewer).post(f"{API}/orders/{played.order.pk}/sync")
            )
            self.assert_refused(office.post(f"{API}/admin/webhook-events/{event.pk}/replay"))
        bought = client_for(played.viewer).post(f"{API}/purchase/{played.video.pk}")
        assert bought.status_code == 201
