"""Signed hints: believed only when they are genuine, taken in once, and never the truth itself."""

import json
import time

import pytest
from django.utils import timezone

from config import money
from payments.gateways import signatures
from payments.gateways.sandbox import billing, charging, events, pages
from payments.models import (
    Entitlement,
    JournalEntry,
    Notice,
    Order,
    Payment,
    SandboxEvent,
    Transfer,
    WebhookEvent,
)
from payments.services.gateway_news import reconciliation
from payments.services.settling.facts import sync_payment
from payments.signals import payment_facts_changed
from payments.tests.kit import VISA, balances, nothing_changes, together

URL = "/api/v1/payments/webhooks/sandbox"
SOLD = {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
JSON = "application/json"


@pytest.fixture
def video(make_video):
    return make_video(price=1999)


@pytest.fixture
def page(client_for, viewer, video):
    """An order that was paid on the gateway's page, and of which we have not heard."""
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
    order = Order.objects.get()
    pages.pay(order.checkout_id, VISA)
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
        """Money 53."""
        body, headers = spoil(*message())
        with nothing_changes():
            answer = post(client, body, headers)
        assert answer.status_code == 400
        assert not WebhookEvent.objects.exists()

    @pytest.mark.parametrize("seconds", [-301, 301, -(10**8), 10**8])
    def test_an_old_or_future_message_is_refused(self, client, page, settings, seconds):
        """Money 53."""
        body, _ = message()
        headers = signed(body, at=time.time() + seconds, settings=settings)
        with nothing_changes():
            assert post(client, body, headers).status_code == 400

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"null", b"7", b'"x"', b"{", b"\xff\xfe{}", b"[" * 20_000, b"{}", b'{"id":7}'],
    )
    def test_what_is_no_event_is_refused_or_ignored(self, client, db, settings, body):
        """Money 53: never a 500."""
        with nothing_changes():
            answer = post(client, body, signed(body, settings=settings))
        assert answer.status_code in {400, 200}
        assert Payment.objects.count() == 0

    def test_more_than_a_megabyte_is_refused(self, client, db, settings):
        """Money 53."""
        body = b'{"id":"' + b"x" * 1024 * 1024 + b'"}'
        assert post(client, body, signed(body, settings=settings)).status_code == 400
        assert not WebhookEvent.objects.exists()

    def test_two_secrets_hold_while_one_replaces_the_other(self, client, page, settings):
        """Money 54."""
        body, old = message()
        settings.SANDBOX_WEBHOOK_SECRETS = ["whsec_new", *settings.SANDBOX_WEBHOOK_SECRETS]
        assert post(client, body, old).status_code == 200
        settings.SANDBOX_WEBHOOK_SECRETS = ["whsec_new"]
        assert post(client, body, old).status_code == 400

    def test_without_a_secret_there_is_no_such_page(self, client, page, settings):
        """Money 55."""
        body, headers = message()
        settings.SANDBOX_WEBHOOK_SECRETS = []
        with nothing_changes():
            assert post(client, body, headers).status_code == 404
            assert (
                client.post(URL.replace("sandbox", "paypal"), body, content_type=JSON).status_code
                == 404
            )
        assert client.get(URL).status_code == 405

    def test_the_other_mode_is_refused(self, client, page, settings):
        """Money 60."""
        body = message()[0].replace(b'"livemode": false', b'"livemode": true')
        with nothing_changes():
            assert post(client, body, signed(body, settings=settings)).status_code == 400
        assert not WebhookEvent.objects.exists()

    def test_an_unknown_type_is_ignored(self, client, db, settings):
        """Money 56."""
        body = json.dumps(
            {"id": "sbe_1", "type": "weather.changed", "livemode": False, "data": {}}
        ).encode()
        with nothing_changes():
            answer = post(client, body, signed(body, settings=settings))
        assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})

    def test_nothing_of_the_content_is_kept(self, client, page, settings):
        """Money 87."""
        found = json.loads(message()[0])
        found["data"]["object"]["card"] = "4242424242424242"
        body = json.dumps(found).encode()
        assert post(client, body, signed(body, settings=settings)).status_code == 200
        kept = str(WebhookEvent.objects.values().get())
        assert "4242" not in kept


@pytest.mark.django_db
class TestTakingIn:
    def test_the_news_brings_the_payment_in(self, client, page):
        body, headers = message()
        with_secret = post(client, body, headers)
        assert (with_secret.status_code, with_secret.json()) == (200, {"status": "processed"})
        page.refresh_from_db()
        assert (page.status, balances()) == ("paid", SOLD)
        with nothing_changes():
            assert post(client, body, headers).status_code == 200
        assert WebhookEvent.objects.get().attempts == 1

    def test_it_may_come_before_the_purchase_is_answered(
        self, client, client_for, viewer, video, monkeypatch
    ):
        """Money 20."""
        from payments.services.buying import checkout

        settle = checkout.sync_payment

        def late(**kwargs):
            body, headers = message("payment")
            assert post(client, body, headers).json() == {"status": "processed"}
            return settle(**kwargs)

        monkeypatch.setattr(checkout, "sync_payment", late)
        answer = client_for(viewer).post(
            f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA}
        )
        assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
        assert (balances(), Transfer.objects.count()) == (SOLD, 2)
        assert Notice.objects.count() == 1

    def test_a_receiver_that_fails_is_asked_again(self, client, page):
        """Money 57: 500, nothing is written, and the redelivery works."""

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

    def test_an_unknown_payment_waits_in_suspense(self, client, db):
        """Money 59."""
        charging.charge(
            amount=500, currency="USD", payment_method=VISA, key="k", reference="elsewhere"
        )
        body, headers = message("payment")
        assert post(client, body, headers).status_code == 200
        assert Payment.objects.get().disposition == "unmatched"
        assert balances() == {"clearing:USD": -500, "suspense:USD": 500}

    def test_an_object_that_is_not_there_is_ignored(self, client, db, settings):
        found = {"id": "sbx_gone", "object": "payment"}
        body = json.dumps({"id": "e1", "type": "x", "data": {"object": found}}).encode()
        answer = post(client, body, signed(body, settings=settings))
        assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})

    def test_what_was_not_delivered_is_delivered_later(self, page, monkeypatch):
        from payments.services.gateway_news import webhooks

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
    def test_one_event_on_sixteen_threads_is_taken_in_once(self, client, page):
        """Money 58."""
        body, headers = message()
        answers = together([lambda: post(client, body, headers)] * 16)
        assert {answer.status_code for answer in answers} == {200}
        assert (balances(), Transfer.objects.count()) == (SOLD, 2)
        assert Entitlement.objects.count() == Payment.objects.count() == 1
        assert Notice.objects.count() == 1

    def test_return_page_and_webhook_at_once_split_once(self, client, client_for, viewer, page):
        """Money 21: one split, one mail."""
        body, headers = message()
        sync = f"/api/v1/payments/orders/{page.pk}/sync"
        clients = [client_for(viewer) for _ in range(4)]
        answers = together(
            [lambda: post(client, body, headers)] * 4 + [lambda c=c: c.post(sync) for c in clients]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert (balances(), JournalEntry.objects.count()) == (SOLD, 1)
        assert Notice.objects.count() == 1

    def test_a_refund_and_its_webhook_at_once_reverse_once(self, client, page, admin, client_for):
        """Money 41."""
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


def _paid(order) -> str:
    from payments.models import SandboxCheckout

    return SandboxCheckout.objects.get(pk=order.checkout_id).payment_id


@pytest.mark.django_db
class TestReconciliation:
    def run(self):
        from datetime import timedelta

        return reconciliation.reconcile(timezone.now() - timedelta(hours=1))

    def test_what_a_lost_webhook_missed_is_found_once(self, page):
        """Money 61."""
        SandboxEvent.objects.all().delete()
        found = self.run()
        assert found.changed
        assert (balances(), found.failed) == (SOLD, [])
        with nothing_changes():
            assert self.run().changed == []

    def test_refunds_disputes_and_subscriptions_are_found(
        self, page, viewer, make_user, client_for
    ):
        sync_payment(gateway="sandbox", external_id=_paid(page))
        charging.refund(payment_id=_paid(page), amount=999, key="dashboard")
        client_for(viewer).post("/api/v1/payments/subscribe", {})
        from payments.models import Subscription

        pages.pay(Subscription.objects.get().checkout_id, VISA)
        assert self.run().changed
        assert Subscription.objects.get().status == "active"
        assert balances() == {
            "clearing:USD": -1999, "creator:USD": 800, "platform:USD": 200, "deferred:USD": 999,
        }  # fmt: skip
        with nothing_changes():
            assert self.run().changed == []

    def test_a_charge_of_a_process_that_died_is_found(self, client_for, viewer, video, gateway_is):
        from payments.tests.kit import DyingGateway, Killed

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
    assert billing.run_due() == 0
