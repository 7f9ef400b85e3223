"""Following changes at a gateway: fetch the object that may have changed, and take it over.

A webhook event, a poll or a reconciliation only says that an object may have changed. The object that
the gateway returns when it is asked is the truth.
"""

from payments import modes
from payments.errors import GatewayUnavailable, GoneAtGateway, OfEarlierMode, PaymentsClosed
from payments.gateways.translation import translate_errors
from payments.models import Order, Payment, Subscription
from payments.services.settling import fetching
from payments.services.settling.facts import sync_payment
from payments.services.subscribing.follow_gateway import sync_subscription

# What `sync_order` can raise, for the API document.
REFUSALS = (GatewayUnavailable, GoneAtGateway, OfEarlierMode, PaymentsClosed)


def process_change(*, gateway: str, kind: str, external_id: str) -> None:
    """Fetch an object of the gateway, and bring our rows and books to it. Safe to repeat.

    ``kind`` is payment, subscription or checkout; ValueError for any other. Call it outside of any
    transaction. Raises OSError, and NotThere for an object that was never known here or there.
    """
    if kind == "payment":
        _sync_payment_with_subscription(gateway, external_id)
    elif kind == "subscription":
        sync_subscription(gateway=gateway, external_id=external_id)
    elif kind == "checkout":
        sync_checkout(gateway=gateway, external_id=external_id)
    else:
        raise ValueError(f"Changes of the kind {kind!r} are not followed.")


def sync_checkout(*, gateway: str, external_id: str) -> None:
    """Fetch a checkout, and take over the payment and the subscription that it led to.

    A checkout that is complete or expired is noted as closed at its order or subscription. Safe to
    repeat. Raises OSError, and NotThere for a checkout that was never known here; for one that is gone
    see `fetching`.
    """
    checkout = fetching.checkout(gateway, external_id)
    if checkout.payment_id:
        sync_payment(gateway=gateway, external_id=checkout.payment_id)
    if checkout.subscription_id:
        sync_subscription(gateway=gateway, external_id=checkout.subscription_id)
    if checkout.status != "open":
        Order.objects.filter(checkout_id=external_id).update(checkout_closed=True)
        Subscription.objects.filter(checkout_id=external_id).update(checkout_closed=True)


def sync_order(order: Order) -> Order:
    """Fetch the payments of an order and its checkout, for the return page; return it refreshed.

    Safe to repeat. Raises GatewayUnavailable, and OfEarlierMode for an order of an earlier mode.
    """
    if modes.is_over(order.created_at):
        raise OfEarlierMode()
    known = Payment.objects.filter(order=order).values_list("external_id", flat=True)
    with translate_errors():
        for external_id in list(known):
            sync_payment(gateway=order.gateway, external_id=external_id)
        if order.checkout_id and not order.checkout_closed:
            sync_checkout(gateway=order.gateway, external_id=order.checkout_id)
    order.refresh_from_db()
    return order


def _sync_payment_with_subscription(gateway: str, external_id: str) -> None:
    """Sync a payment; if it pays a subscription, sync that first, because the invoice comes with it."""
    snapshot = fetching.payment(gateway, external_id)
    if snapshot.subscription_id:
        sync_subscription(gateway=gateway, external_id=snapshot.subscription_id, payment=snapshot)
    sync_payment(gateway=gateway, external_id=external_id, snapshot=snapshot)
