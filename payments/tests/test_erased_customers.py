"""The gateway's record of an erased user is deleted there, as soon as no subscription runs."""

from contextlib import suppress

import pytest

from accounts import erasing
from audit.models import AuditEntry
from payments.gateways.base import OutcomeUnknown, RequestRefused
from payments.gateways.stripe import StripeGateway
from payments.models import GatewayCustomer, Subscription
from payments.services.gateway_news import followups
from payments.services.settling import customers
from payments.tests.kit import VISA

pytestmark = pytest.mark.django_db


@pytest.fixture
def bea(stripe_service, client_for, viewer):
    """A user who has subscribed, and whom Stripe knows therefore."""
    answer = client_for(viewer).post(
        "/api/v1/payments/subscribe", {"plan": "monthly", "payment_method": VISA}
    )
    assert answer.status_code == 201
    return viewer


def at_stripe(service) -> list[str]:
    rows = service.account.listing("customer", limit=100)["data"]
    return [row["id"] for row in rows if not row.get("deleted")]


def entries() -> int:
    return AuditEntry.objects.filter(action="customer.deleted").count()


def end_subscription(service) -> None:
    service.account.cancel_subscription(Subscription.objects.get().external_id)
    service.deliver()
    assert Subscription.objects.get().status == "canceled"


def test_it_is_deleted_once_the_subscription_has_ended(stripe_service, bea, run_minute):
    (number,) = at_stripe(stripe_service)
    run_minute()
    assert at_stripe(stripe_service) == [number]  # nobody is erased

    erasing.begin(user_id=bea.pk, actor=None)
    run_minute()
    assert at_stripe(stripe_service) == [number]  # the paid period runs
    end_subscription(stripe_service)
    for _ in range(2):
        run_minute()

    assert at_stripe(stripe_service) == []
    assert not GatewayCustomer.objects.exists()
    entry = AuditEntry.objects.get(action="customer.deleted")
    assert (entry.actor_id, entry.target_id) == (None, str(bea.pk))
    assert entry.data["customer"] == number


def test_a_gateway_that_is_away_or_refuses_is_asked_again(stripe_service, bea, monkeypatch):
    erasing.begin(user_id=bea.pk, actor=None)
    end_subscription(stripe_service)
    for error in (OutcomeUnknown("no answer"), RequestRefused("no")):

        def fails(self, external_id, error=error):
            raise error

        with monkeypatch.context() as patch, suppress(OSError):
            patch.setattr(StripeGateway, "delete_customer", fails)
            assert followups.delete_erased_customers() == 0
        assert (GatewayCustomer.objects.count(), entries()) == (1, 0)

    assert followups.delete_erased_customers() == 1
    assert (at_stripe(stripe_service), GatewayCustomer.objects.count(), entries()) == ([], 0, 1)


def test_twice_and_one_that_is_gone_is_one_entry(stripe_service, bea):
    erasing.begin(user_id=bea.pk, actor=None)
    end_subscription(stripe_service)
    (row,) = customers.due_to_delete()
    stripe_service.account.delete_customer(row.external_id)

    for _ in range(2):
        customers.delete_at_gateway(row)

    assert (GatewayCustomer.objects.count(), entries()) == (0, 1)


def test_no_other_gateway_is_asked(stripe_service, bea, settings):
    erasing.begin(user_id=bea.pk, actor=None)
    end_subscription(stripe_service)
    settings.PAYMENT_GATEWAY = "sandbox"

    assert followups.delete_erased_customers() == 0
    assert (len(at_stripe(stripe_service)), GatewayCustomer.objects.count()) == (1, 1)
