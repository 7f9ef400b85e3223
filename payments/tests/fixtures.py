"""Fixtures for buying, subscribing, replacing the gateway, and the worker's clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import stripe
from rest_framework.test import APIClient

from payments import gateways
from payments.gateways.base import Gateway
from payments.models import Order, Subscription
from payments.services.buying import checkout
from payments.services.subscribing import subscriptions
from payments.tests import stripe_stand_in
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
