"""Something may have changed at a gateway: look, and take it in. A message is only a hint."""

from payments import gateways
from payments.gateways.translation import translate_errors
from payments.models import Order, Payment, Subscription
from payments.services.settling.facts import sync_payment
from payments.services.subscribing.follow_gateway import sync_subscription


def take_in(*, gateway: str, kind: str, external_id: str) -> None:
    """Fetch what changed and make everything that rests on it true. Safe to repeat.

    ``kind``: payment, subscription or checkout. Raises NotThere, OSError.
    """
    if kind == "payment":
        _take_in_payment(gateway, external_id)
    elif kind == "subscription":
        sync_subscription(gateway=gateway, external_id=external_id)
    elif kind == "checkout":
        sync_checkout(gateway=gateway, external_id=external_id)
    else:
        raise ValueError(f"nobody follows {kind!r}")


def sync_checkout(*, gateway: str, external_id: str) -> None:
    """What came of a hosted page."""
    page = gateways.by_name(gateway).fetch_checkout(external_id)
    if page.payment_id:
        sync_payment(gateway=gateway, external_id=page.payment_id)
    if page.subscription_id:
        sync_subscription(gateway=gateway, external_id=page.subscription_id)
    if page.status != "open":
        for model in (Order, Subscription):
            model.objects.filter(checkout_id=external_id).update(checkout_closed=True)


def sync_order(order: Order) -> Order:
    """Ask the gateway about everything that an order knows of there: for the return page.

    Raises GatewayUnavailable.
    """
    known = Payment.objects.filter(order=order).values_list("external_id", flat=True)
    with translate_errors():
        for external_id in list(known):
            sync_payment(gateway=order.gateway, external_id=external_id)
        if order.checkout_id and not order.checkout_closed:
            sync_checkout(gateway=order.gateway, external_id=order.checkout_id)
    order.refresh_from_db()
    return order


def _take_in_payment(gateway: str, external_id: str) -> None:
    snapshot = gateways.by_name(gateway).fetch_payment(external_id)
    if snapshot.subscription_id:  # its invoice must be known before the money can be placed
        sync_subscription(gateway=gateway, external_id=snapshot.subscription_id)
    sync_payment(gateway=gateway, external_id=external_id)
