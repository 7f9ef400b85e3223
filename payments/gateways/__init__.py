"""Gateways, by name. Only the code in this package sees a provider's own data."""

from collections.abc import Callable

from django.conf import settings

from payments.gateways.base import Gateway
from payments.gateways.sandbox import SandboxGateway


def _stripe() -> Gateway:
    from payments.gateways.stripe import (
        StripeGateway,  # the SDK is large, and most have no use for it
    )

    return StripeGateway()


_GATEWAYS: dict[str, Callable[[], Gateway]] = {
    SandboxGateway.name: SandboxGateway,
    "stripe": _stripe,
}


def current() -> Gateway:
    """The gateway that new orders are paid at."""
    return by_name(settings.PAYMENT_GATEWAY)


def by_name(name: str) -> Gateway:
    """The gateway that an existing payment lives at. Raises KeyError."""
    return _GATEWAYS[name]()


def is_known(name: str) -> bool:
    return name in _GATEWAYS
