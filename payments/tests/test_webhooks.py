"""Webhooks: the check of each message, its processing exactly once, and reconciliation."""

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from config import money
from payments import gateways, modes
from payments.gateways import signatures
from payments.gateways.sandbox import charging, checkouts, events, subscriptions
from payments.models import (
    Entitlement,
    JournalEntry,
    Notice,
    Order,
    Payment,
    SandboxCheckout,
    SandboxEvent,
    Subscription,
    Transfer,
    WebhookEvent,
)
from payments.modes import Mode
from payments.services.gateway_news import reconciliation, webhooks
from payments.services.settling.facts import sync_payment
from payments.signals import payment_facts_changed
from payments.tests import stripe_stand_in
from payments.tests.kit import (
    VISA,
    DyingGateway,
    Killed,
    balances,
    checkout_of,
    nothing_changes,
    together,
)

URL = "/api/v1/payments/webhooks/sandbox"
SOLD = {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
JSON = "application/json"


def test_the_settings_name_every_gateway(settings):
    assert set(settings.PAYMENT_GATEWAYS) == set(gateways._GATEWAYS)


@pytest.fixture
def video(make_video):
    return make_video(price=1999)


@pytest.fixture
def page(client_for, viewer, video):
    """An order that was paid on its checkout; its webhook has not been delivered yet."""
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
    order = Order.objects.get()
    checkouts.pay(checkout_of(order), VISA)
    return order


def message(kind="checkout") -> tuple[bytes, dict]:
    return events.message(SandboxEvent.objects.filter(kind=kind).latest("created_at"))


def post(client, body, headers):
    return client.post(URL, body, content_type=JSON, headers=headers)


def signed(body: bytes, *, secret=None, at=None, settings=None) -> dict:
    secret = secret or settings.SANDBOX_WEBHOOK_SECRETS[0]
    return {events.HEADER: signatures.sign(body, secret, at or time.time())}


@pytest.mark.django_db
class TestBelief:
    @pytest.mark.promise("webhook-forgery-refused")
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda body, head: (body, {}),
            lambda body, head: (body, {events.HEADER: ""}),
            lambda body, head: (body, {events.HEADER: "v1=abc"}),
            lambda body, head: (body, {events.HEADER: "t=soon,v1=abc"}),
            lambda body, head: (body, {events.HEADER: "t=" + "9" * 30 + ",v1=abc"}),
            lambda body, head: (body, {events.HEADER: head[events.HEADER][:-1] + "x"}),
            lambda body, head: (body + b" ", head),
            lambda body, head: (body.replace(b"false", b"true "), head),
        ],
    )
    def test_a_bad_or_missing_signature_is_refused(self, client, page, spoil):
        """A missing, garbled or wrong signature is answered 400, and no event is stored."""
        body, headers = spoil(*message())
        with nothing_changes():
            answer = post(client, body, headers)
        assert answer.status_code == 400
        assert not WebhookEvent.objects.exists()

    @pytest.mark.promise("webhook-forgery-refused")
    @pytest.mark.parametrize("seconds", [-301, 360, -(10**8), 10**8])
    def test_an_old_or_future_message_is_refused(self, client, page, settings, seconds):
        """A message signed more than 300 seconds ago, or as far in the future, is answered 400."""
        body, _ = message()
        headers = signed(body, at=time.time() + seconds, settings=settings)
        with nothing_changes():
            assert post(client, body, headers).status_code == 400

    @pytest.mark.promise("webhook-forgery-refused")
    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"null", b"7", b'"x"', b"{", b"\xff\xfe{}", b"[" * 20_000, b"{}", b'{"id":7}'],
    )
    def test_a_signed_body_that_is_no_event_changes_nothing(self, client, db, settings, body):
        """A signed body that is no event is answered 400 or 200, changes nothing and never causes
        a 500."""
        with nothing_changes():
            answer = post(client, body, signed(body, settings=settings))
        assert answer.status_code in {400, 200}
        assert Payment.objects.count() == 0

    @pytest.mark.promise("webhook-forgery-refused")
    def test_a_body_above_one_mebibyte_is_refused(self, client, db, settings):
        """A body of more than one mebibyte is answered 400, and no event is stored."""
        body = b'{"id":"' + b"x" * 1024 * 1024 + b'"}'
        assert post(client, body, signed(body, settings=settings)).status_code == 400
        assert not WebhookEvent.objects.exists()

    @pytest.mark.promise("webhook-secret-rotation")
    def test_the_old_secret_is_accepted_during_a_rotation(self, client, page, settings):
        """A message signed with the old secret is accepted during the rotation and refused after it."""
        body, old = message()
        settings.SANDBOX_WEBHOOK_SECRETS = ["whsec_new", *settings.SANDBOX_WEBHOOK_SECRETS]
        assert post(client, body, old).status_code == 200
        settings.SANDBOX_WEBHOOK_SECRETS = ["whsec_new"]
        assert post(client, body, old).status_code == 400

    @pytest.mark.promise("webhook-needs-secret")
    def test_without_a_secret_the_address_does_not_exist(self, client, page, settings):
        """A gateway without a webhook secret, or unknown, has no webhook address: the answer is 404."""
        body, headers = message()
        settings.SANDBOX_WEBHOOK_SECRETS = []
        with nothing_changes():
            assert post(client, body, headers).status_code == 404
            assert (
                client.post(URL.replace("sandbox", "paypal"), body, content_type=JSON).status_code
                == 404
            )
        assert client.get(URL).status_code == 405

    @pytest.mark.promise("webhook-needs-secret")
    def test_the_gateway_that_is_not_in_use_has_no_webhook_address(self, client, page):
        """A gateway of another mode than the one in use answers 404, and not 500: nothing is parsed."""
        assert modes.of_database() == Mode.SANDBOX
        with nothing_changes():
            answer = client.post(URL.replace("sandbox", "stripe"), "{}", content_type=JSON)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "not_found")

    @pytest.mark.promise("webhook-mode-mismatch-refused")
    def test_a_live_mode_event_is_refused_by_the_sandbox(self, client, page, settings):
        """A live-mode event is answered 400 by the sandbox, and no event is stored."""
        body = message()[0].replace(b'"livemode": false', b'"livemode": true')
        with nothing_changes():
            assert post(client, body, signed(body, settings=settings)).status_code == 400
        assert not WebhookEvent.objects.exists()

    @pytest.mark.promise("webhook-mode-mismatch-refused")
    def test_a_test_mode_event_is_refused_by_a_live_gateway(self, client, db, settings):
        settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = "sk_live_1", ["whsec_live"]
        message = {"id": "evt_1", "type": "payment_intent.succeeded", "livemode": False, "data": {}}
        body, headers = stripe_stand_in.sign(json.dumps(message).encode(), secret="whsec_live")

        def ask(body, headers):
            url = URL.replace("sandbox", "stripe")
            return client.post(url, body, content_type=JSON, headers=headers).status_code

        assert ask(body, headers) == 400
        assert not WebhookEvent.objects.exists()
        live = body.replace(b"false", b"true")
        assert ask(*stripe_stand_in.sign(live, secret="whsec_live")) == 200

    @pytest.mark.promise("webhook-unknown-type-ignored")
    def test_an_unknown_type_is_ignored(self, client, db, settings):
        """A signed event of an unknown type is answered 200 with the status "ignored"."""
        body = json.dumps(
            {"id": "sbe_1", "type": "weather.changed", "livemode": False, "data": {}}
        ).encode()
        with nothing_changes():
            answer = post(client, body, signed(body, settings=settings))
        assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})

    @pytest.mark.promise("no-secrets-kept")
    def test_a_card_number_in_an_event_is_not_stored(self, client, page, settings):
        """A card number in an event's body is not stored with the webhook event."""
        event = json.loads(message()[0])
        event["data"]["object"]["card"] = "4242424242424242"
        body = json.dumps(event).encode()
        assert post(client, body, signed(body, settings=settings)).status_code == 200
        kept = str(WebhookEvent.objects.values().get())
        assert "4242" not in kept


@pytest.mark.django_db
class TestTakingIn:
    def test_an_event_settles_the_payment_once(self, client, page):
        body, headers = message()
        with_secret = post(client, body, headers)
        assert (with_secret.status_code, with_secret.json()) == (200, {"status": "processed"})
        page.refresh_from_db()
        assert (page.status, balances()) == ("paid", SOLD)
        with nothing_changes():
            assert post(client, body, headers).status_code == 200
        assert WebhookEvent.objects.get().attempts == 1

    @pytest.mark.promise("webhook-before-answer")
    def test_a_webhook_may_arrive_before_the_purchase_is_answered(
        self, client, client_for, viewer, video, monkeypatch
    ):
        """A webhook that arrives before the purchase is answered settles it once: one split, one
        mail."""

        def late(**kwargs):
            body, headers = message("payment")
            assert post(client, body, headers).json() == {"status": "processed"}
            return sync_payment(**kwargs)

        monkeypatch.setattr("payments.services.buying.checkout.sync_payment", late)
        answer = client_for(viewer).post(
            f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA}
        )
        assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
        assert (balances(), Transfer.objects.count()) == (SOLD, 2)
        assert Notice.objects.count() == 1

    @pytest.mark.promise("webhook-failure-redelivered", "no-secrets-kept")
    def test_a_failed_delivery_can_be_repeated(self, client, page):
        """A receiver that raises makes the webhook answer 500 and write nothing; the redelivery
        succeeds."""

        def fail(**kwargs):
            raise RuntimeError("a secret 4242424242424242")

        body, headers = message()
        payment_facts_changed.connect(fail, weak=False)
        try:
            with nothing_changes():
                answer = post(client, body, headers)
        finally:
            payment_facts_changed.disconnect(fail)
        assert answer.status_code == 500
        assert b"4242" not in answer.content
        assert WebhookEvent.objects.get().status == "failed"
        assert "4242" not in WebhookEvent.objects.get().error
        assert post(client, body, headers).status_code == 200
        assert balances() == SOLD

    @pytest.mark.promise("unknown-payment-in-suspense")
    def test_an_unknown_payment_waits_in_suspense(self, client, db):
        """A captured payment that belongs to no order is unmatched, and its money waits in suspense."""
        charging.charge(
            amount=500, currency="USD", payment_method=VISA, key="k", reference="elsewhere"
        )
        body, headers = message("payment")
        assert post(client, body, headers).status_code == 200
        assert Payment.objects.get().disposition == "unmatched"
        assert balances() == {"clearing:USD": -500, "suspense:USD": 500}

    @pytest.mark.promise("refund-before-capture", "refund-at-gateway-is-mirrored")
    def test_a_refund_event_before_its_capture_event_books_both(self, client, page):
        charging.refund(payment_id=_paid(page), amount=1000, key="dashboard")
        captured = events.message(SandboxEvent.objects.get(type="payment.captured"))
        refunded = message("payment")
        assert refunded != captured
        assert post(client, *refunded).json() == {"status": "processed"}
        page.refresh_from_db()
        assert page.status == "paid"
        assert balances() == {"clearing:USD": -999, "creator:USD": 800, "platform:USD": 199}
        assert Entitlement.objects.live().get().user_id == page.buyer_id
        with nothing_changes():
            assert post(client, *captured).json() == {"status": "processed"}

    def test_an_event_about_an_unknown_object_is_ignored(self, client, db, settings):
        unknown = {"id": "sbx_gone", "object": "payment"}
        body = json.dumps({"id": "e1", "type": "x", "data": {"object": unknown}}).encode()
        answer = post(client, body, signed(body, settings=settings))
        assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})

    def test_an_undelivered_event_is_delivered_later(self, page, monkeypatch):
        def down(**kwargs):
            raise OSError

        with monkeypatch.context() as patch:
            patch.setattr(webhooks, "receive", down)
            assert events.deliver_due() == 0
        SandboxEvent.objects.update(next_attempt_at=timezone.now())
        assert events.deliver_due() > 0
        assert balances() == SOLD
        assert events.deliver_due() == 0


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.mark.promise("webhook-processed-once")
    def test_one_event_on_sixteen_threads_is_processed_once(self, client, page):
        """Sixteen deliveries of one event at the same moment make one split, one entitlement and
        one mail."""
        body, headers = message()
        answers = together([lambda: post(client, body, headers)] * 16)
        assert {answer.status_code for answer in answers} == {200}
        assert (balances(), Transfer.objects.count()) == (SOLD, 2)
        assert Entitlement.objects.count() == Payment.objects.count() == 1
        assert Notice.objects.count() == 1

    @pytest.mark.promise("return-page-and-webhook-once")
    def test_return_page_and_webhook_at_once_settle_once(self, client, client_for, viewer, page):
        """The return page and the webhook at the same moment make one split and one mail."""
        body, headers = message()
        sync = f"/api/v1/payments/orders/{page.pk}/sync"
        clients = [client_for(viewer) for _ in range(4)]
        answers = together(
            [lambda: post(client, body, headers)] * 4 + [lambda c=c: c.post(sync) for c in clients]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert (balances(), JournalEntry.objects.count()) == (SOLD, 1)
        assert Notice.objects.count() == 1

    @pytest.mark.promise("refund-booked-once")
    def test_refunds_and_webhooks_at_once_are_booked_once(self, client, page, admin, client_for):
        """API refunds and webhooks at the same moment reverse exactly the refunds that succeeded."""
        sync_payment(gateway="sandbox", external_id=_paid(page))
        charging.refund(payment_id=_paid(page), amount=500, key="dashboard")
        body, headers = message("payment")
        refund = f"/api/v1/payments/admin/orders/{page.pk}/refund"
        admins = [client_for(admin) for _ in range(3)]
        together(
            [lambda: post(client, body, headers)] * 3
            + [lambda c=c: c.post(refund, {"amount": "5.00"}) for c in admins]
        )
        sync_payment(gateway="sandbox", external_id=_paid(page))
        counting = Payment.objects.get().refunds.filter(status="succeeded")
        given = sum(counting.values_list("amount", flat=True))
        assert 500 <= given <= 1999
        share = money.creator_share(1999 - given, 2000)
        assert balances() == {
            "clearing:USD": given - 1999,
            "creator:USD": share,
            "platform:USD": 1999 - given - share,
        }


def _paid(order: Order) -> str:
    """Return the id of the payment that an order's checkout led to."""
    payment_id = SandboxCheckout.objects.get(pk=order.checkout_id).payment_id
    assert payment_id
    return payment_id


@pytest.mark.django_db
class TestReconciliation:
    def run(self):
        return reconciliation.reconcile(timezone.now() - timedelta(hours=1))

    @pytest.mark.promise("reconciliation-finds-lost-webhook")
    def test_reconciliation_settles_a_payment_whose_event_was_lost(self, page):
        """Reconciliation books a payment whose webhook events were lost; a second run changes
        nothing."""
        SandboxEvent.objects.all().delete()
        outcome = self.run()
        assert outcome.changed
        assert (balances(), outcome.failed) == (SOLD, [])
        with nothing_changes():
            assert self.run().changed == []

    @pytest.mark.promise("reconciliation-finds-lost-webhook")
    def test_refunds_disputes_and_subscriptions_are_found(
        self, page, viewer, make_user, client_for
    ):
        sync_payment(gateway="sandbox", external_id=_paid(page))
        charging.refund(payment_id=_paid(page), amount=999, key="dashboard")
        client_for(viewer).post("/api/v1/payments/subscribe", {})
        checkouts.pay(checkout_of(Subscription.objects.get()), VISA)
        assert self.run().changed
        assert Subscription.objects.get().status == "active"
        assert balances() == {
            "clearing:USD": -1999, "creator:USD": 800, "platform:USD": 200, "deferred:USD": 999,
        }  # fmt: skip
        with nothing_changes():
            assert self.run().changed == []

    def test_the_charge_of_a_process_that_died_is_found(
        self, client_for, viewer, video, gateway_is
    ):
        with gateway_is(DyingGateway), pytest.raises(Killed):
            client_for(viewer).post(
                f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA}
            )
        assert Order.objects.get().status == "processing"
        self.run()
        assert (Order.objects.get().status, balances()) == ("paid", SOLD)

    def test_an_order_whose_charge_never_left_is_open_again(self, client_for, viewer, video):
        client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
        Order.objects.update(
            status="processing", changed_at=timezone.now() - reconciliation.CHARGE_LOST_AFTER
        )
        assert self.run().changed
        assert Order.objects.get().status == "pending"

    def test_a_gateway_that_is_away_is_reported(self, page, monkeypatch):
        def away(*args):
            raise OSError("away")

        monkeypatch.setattr("payments.gateways.sandbox.SandboxGateway.list_changes", away)
        monkeypatch.setattr("payments.gateways.sandbox.SandboxGateway.fetch_checkout", away)
        with nothing_changes():
            assert self.run().failed


def test_renewals_do_not_run_without_the_sandboxs_clock(db):
    assert subscriptions.run_due() == 0
