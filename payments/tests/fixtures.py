"""Fixtures for buying, subscribing, replacing the gateway, and the worker's clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import stripe
from rest_framework.test import APIClient

from payments import gateways
from payments.gateways.base import Gateway
from payments.gateways.sandbox import charging
from payments.models import Coupon, Order, Payment, Payout, Subscription
from payments.services.buying import checkout
from payments.services.payouts import payouts
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.services.subscribing import subscriptions
from payments.tests import stripe_stand_in
from payments.tests.kit import VISA
from payments.tests.months import AUGUST, at, close, watch
from payments.tests.stripe_stand_in import StripeStandIn
from videos.signals import worker_tick


@pytest.fixture
def buy(db):
    """Return a function that buys a video for a user at the sandbox and returns the paid order."""

    def make(buyer, video) -> Order:
        order, _ = checkout.purchase(
            buyer=buyer,
            video_id=video.pk,
            options=checkout.PurchaseOptions(even_if_covered=True),
            payment_method="pm_card_visa",
        )
        return order

    return make


@pytest.fixture
def subscribe(db):
    """Return a function that subscribes a user to the monthly plan and returns the subscription."""

    def make(user) -> Subscription:
        subscription, _ = subscriptions.subscribe(
            user=user, plan_code="monthly", payment_method="pm_card_visa"
        )
        return subscription

    return make


@pytest.fixture
def gateway_is(monkeypatch):
    """Return a context manager that replaces the sandbox by another gateway class."""

    @contextmanager
    def put(gateway_class: Callable[[], Gateway]) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setitem(gateways._GATEWAYS, "sandbox", gateway_class)
            yield

    return put


class StripeService:
    """The service with Stripe as its gateway, and the stand-in in Stripe's place."""

    webhook = "/api/v1/payments/webhooks/stripe"

    def __init__(self, account: StripeStandIn, client: APIClient):
        self.account, self._client = account, client

    def deliver(self, *, times: int = 1, reverse: bool = False) -> None:
        """Deliver Stripe's new events to the webhook, over HTTP, the newest first if ``reverse``."""
        messages = self.account.undelivered() * times
        for body, headers in reversed(messages) if reverse else messages:
            answer = self._client.post(
                self.webhook, data=body, content_type="application/json", headers=headers
            )
            assert answer.status_code == 200, answer.content


@pytest.fixture
def stripe_service(db, settings, monkeypatch) -> Iterator[StripeService]:
    """Put a running stand-in in Stripe's place, as the gateway of new orders and subscriptions."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)
    settings.PAYMENT_GATEWAY = "stripe"
    settings.STRIPE_SECRET_KEY = stripe_stand_in.KEY
    settings.STRIPE_WEBHOOK_SECRETS = [stripe_stand_in.SECRET]
    with StripeStandIn() as account:
        settings.STRIPE_API_BASE = account.url
        yield StripeService(account, APIClient())


@pytest.fixture
def run_minute(db):
    """Return a function that does the work of a worker's minute and fails if any receiver raised."""

    def strike() -> None:
        for receiver, outcome in worker_tick.send_robust(sender=None, every="minute"):
            assert not isinstance(outcome, Exception), (receiver, outcome)

    return strike


@pytest.fixture
def every_kind_of_money(make_user, make_video, buy, subscribe, admin) -> list[Order]:
    """Make one of everything: sold, refunded in part and in full, disputed, given away, subscribed,
    shared, set aside, paid out, failed, written off. Returns the orders that were sold."""
    with at("2026-08-01 00:00"):
        videos = [make_video(price=1999) for _ in range(3)]
        subscriber, leaver = make_user(), make_user()
        subscribe(subscriber), subscribe(leaver)
        orders = [buy(make_user(), video) for video in videos for _ in range(2)]
        Coupon.objects.create(code="FREE", percent_bps=10_000, funded_by="platform")
        options = checkout.PurchaseOptions(coupon="FREE")
        checkout.purchase(buyer=make_user(), video_id=videos[0].pk, options=options)
        refunds.refund_order(order_id=orders[0].pk, amount=500, reason="", actor=admin)
        refunds.refund_order(order_id=orders[1].pk, amount=None, reason="", actor=admin)
        disputed = orders[2].payments.get()
        charging.open_dispute(payment_id=disputed.external_id)
        sync_payment(gateway="sandbox", external_id=disputed.external_id)
        Coupon.objects.create(code="HALF", percent_bps=5000, funded_by="platform")
        half = checkout.PurchaseOptions(coupon="HALF")
        checkout.purchase(
            buyer=make_user(), video_id=videos[1].pk, options=half, payment_method=VISA
        )
        argued = orders[5].payments.get()
        dispute = charging.open_dispute(payment_id=argued.external_id, amount=100, fee=15)
        sync_payment(gateway="sandbox", external_id=argued.external_id)
        charging.close_dispute(dispute.pk, reinstated=60)
        sync_payment(gateway="sandbox", external_id=argued.external_id)
        left = Payment.objects.get(invoice__subscription__user=leaver)
        charging.refund(payment_id=left.external_id, amount=left.captured, key="leaves")
        sync_payment(gateway="sandbox", external_id=left.external_id)
    watch(subscriber, videos[0], "2026-08-02", 60)
    watch(subscriber, videos[1], "2026-08-02", 60)
    close(AUGUST)
    with at("2026-09-20 00:00"):
        made = payouts.run()
        for payout in made[1:]:
            payouts.approve(payout_id=payout.pk, actor=admin)
        payouts.mark_paid(payout_id=made[1].pk, external_ref="SEPA-1", actor=admin)
        payouts.mark_failed(payout_id=made[2].pk, reason="", actor=admin)
        refunds.refund_order(order_id=orders[3].pk, amount=None, reason="", actor=admin)
        payouts.write_off(creator_id=videos[1].creator_id, currency="USD", actor=admin)
    assert Payout.objects.count() == 3
    return orders
