"""Fixtures for buying, subscribing, replacing the gateway, and the worker's clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from payments import gateways
from payments.gateways.base import Gateway
from payments.models import Order, Subscription
from payments.services.buying import checkout
from payments.services.subscribing import subscriptions
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


@pytest.fixture
def run_minute(db):
    """Return a function that does the work of a worker's minute and fails if any receiver raised."""

    def strike() -> None:
        for receiver, outcome in worker_tick.send_robust(sender=None, every="minute"):
            assert not isinstance(outcome, Exception), (receiver, outcome)

    return strike
