"""Sales."""

from contextlib import contextmanager

import pytest

from payments import gateways
from payments.models import Order
from payments.services.buying import checkout
from payments.services.subscribing import subscriptions
from videos.signals import worker_tick


@pytest.fixture
def buy(db):
    """A paid order of a user for a video, through the real services and the sandbox gateway."""

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
    def make(user):
        subscription, _ = subscriptions.subscribe(
            user=user, plan_code="monthly", payment_method="pm_card_visa"
        )
        return subscription

    return make


@pytest.fixture
def gateway_is(monkeypatch):
    """Put another gateway in the sandbox's place, for as long as the block lasts."""

    @contextmanager
    def put(gateway_class):
        with monkeypatch.context() as patch:
            patch.setitem(gateways._GATEWAYS, "sandbox", gateway_class)
            yield

    return put


@pytest.fixture
def run_minute(db):
    """The worker's clock strikes a minute."""

    def strike() -> None:
        for receiver, outcome in worker_tick.send_robust(sender=None, every="minute"):
            assert not isinstance(outcome, Exception), (receiver, outcome)

    return strike
