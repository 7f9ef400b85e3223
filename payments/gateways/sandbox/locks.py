"""The row locks of the sandbox's own tables, in the order in which a transaction takes them.

payment → subscription → checkout; the clock alone. A transaction of the sandbox locks no table of the
service, because no gateway is called inside a transaction. See `docs/locking.md`.
"""

from payments.gateways.sandbox import rows
from payments.models import SandboxCheckout, SandboxClock, SandboxPayment, SandboxSubscription


def lock_payment(payment_id: str) -> SandboxPayment:
    """Lock a payment, with its refunds and disputes. Raises NotThere."""
    return rows.get(SandboxPayment.objects.select_for_update(), payment_id)


def lock_subscription(subscription_id: str) -> SandboxSubscription:
    """Lock a subscription, with its invoices. Raises NotThere."""
    return rows.get(SandboxSubscription.objects.select_for_update(), subscription_id)


def lock_checkout(checkout_id: str) -> SandboxCheckout:
    """Lock a checkout. Raises NotThere."""
    return rows.get(SandboxCheckout.objects.select_for_update(), checkout_id)


def lock_checkout_of(payment: SandboxPayment) -> SandboxCheckout | None:
    """Lock the checkout that a payment was made on; None when it was made without one."""
    return SandboxCheckout.objects.select_for_update().filter(payment=payment).first()


def lock_clock() -> SandboxClock:
    """Lock the sandbox's clock, made when it is missing."""
    SandboxClock.objects.get_or_create(pk=1)
    return SandboxClock.objects.select_for_update().get(pk=1)
