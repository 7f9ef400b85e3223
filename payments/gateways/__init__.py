"""The payment gateways by name. Only a gateway's own folder knows the shapes of its data."""

from collections.abc import Callable

from django.conf import settings

from payments.gateways.base import Gateway
from payments.gateways.sandbox import SandboxGateway


def _stripe() -> Gateway:
    # Imported on the first use: Stripe's SDK is large, and an installation with the sandbox needs none.
    from payments.gateways.stripe import StripeGateway

    return StripeGateway()


# The types make mypy compare both gateways with the protocol, method by method.
_GATEWAYS: dict[str, Callable[[], Gateway]] = {
    SandboxGateway.name: SandboxGateway,
    "stripe": _stripe,
}


def current() -> Gateway:
    """Return the gateway for new orders and subscriptions: the setting PAYMENT_GATEWAY."""
    return by_name(settings.PAYMENT_GATEWAY)


def by_name(name: str) -> Gateway:
    """Return the gateway of an existing payment, order or subscription. Raises KeyError."""
    return _GATEWAYS[name]()


def is_known(name: str) -> bool:
    """Return whether there is a gateway with this name."""
    return name in _GATEWAYS
