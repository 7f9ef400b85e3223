"""Sales."""

import pytest

from payments.models import Order
from payments.services import checkout, subscriptions


@pytest.fixture
def buy(db):
    """A paid order of a user for a film, through the real services and the sandbox gateway."""

    def make(buyer, video) -> Order:
        order, _ = checkout.purchase(
            buyer=buyer, video_id=video.pk, wish=checkout.Wish(), payment_method="pm_card_visa"
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
