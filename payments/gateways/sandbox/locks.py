"""The row locks of the sandbox's own tables, in the order in which a transaction takes them.

payment → subscription → checkout; the clock alone. A transaction of the sandbox locks no table of the
service, because no gateway is called inside a transaction. See `docs/locking.md`.
"""

from payments.gateways.base import NotThere
from payments.models import SandboxCheckout, SandboxClock, SandboxPayment, SandboxSubscription


def lock_payment(payment_id: str) -> SandboxPayment:
    """Lock a payment, with its refunds and disputes. Raises NotThere."""
    payment = SandboxPayment.objects.select_for_update().filter(pk=payment_id).first()
    if payment is None:
        raise NotThere(payment_id)
    return payment


def lock_subscription(subscription_id: str) -> SandboxSubscription:
    """Lock a subscription, with its invoices. Raises NotThere."""
    subscription = (
        SandboxSubscription.objects.select_for_update().filter(pk=subscription_id).first()
    )
    if subscription is None:
        raise NotThere(subscription_id)
    return subscription


def lock_checkout(checkout_id: str) -> SandboxCheckout:
    """Lock a hosted page. Raises NotThere."""
    checkout = SandboxCheckout.objects.select_for_update().filter(pk=checkout_id).first()
    if checkout is None:
        raise NotThere(checkout_id)
    return checkout


def lock_checkout_of(payment: SandboxPayment) -> SandboxCheckout | None:
    """Lock the hosted page that a payment was made on; None when it was made without a page."""
    return SandboxCheckout.objects.select_for_update().filter(payment=payment).first()


def lock_clock() -> SandboxClock:
    """Lock the sandbox's clock, made when it is missing."""
    SandboxClock.objects.get_or_create(pk=1)
    return SandboxClock.objects.select_for_update().get(pk=1)
