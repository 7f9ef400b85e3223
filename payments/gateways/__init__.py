"""The payment gateways by name. Only a gateway's own folder knows the shapes of its data.

A gateway is open while its mode is that of the database: play money and real money never meet. All
calls of the services get their gateway from here, so that a closed one is never called.
"""

from collections.abc import Callable

from django.conf import settings

from payments import modes
from payments.errors import OfEarlierMode, PaymentsClosed
from payments.gateways.base import Gateway
from payments.gateways.sandbox import SandboxGateway
from payments.modes import Mode


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
    """Return the gateway for a new order or subscription: the setting PAYMENT_GATEWAY.

    A database without a mode gets that of the gateway. Raises PaymentsClosed if it has another one.
    """
    gateway = configured()
    if modes.record_first_use(mode_of(gateway)) != mode_of(gateway):
        raise PaymentsClosed()
    return gateway


def by_name(name: str) -> Gateway:
    """Return the gateway of an existing payment, order or subscription.

    Raises KeyError for an unknown name. Unless it `is_open`, raises PaymentsClosed, or OfEarlierMode
    while the gateway of the present mode is open.
    """
    if not is_open(name):
        raise OfEarlierMode() if are_open() else PaymentsClosed()
    return _GATEWAYS[name]()


def by_name_when_open(name: str) -> Gateway:
    """Return what `by_name` returns to a caller that has just called `require_open`.

    Only for another gateway than that of PAYMENT_GATEWAY the database is asked again.
    """
    return configured() if name == settings.PAYMENT_GATEWAY else by_name(name)


def configured() -> Gateway:
    """Return the gateway of PAYMENT_GATEWAY even while it is closed, to show or check its settings."""
    return _GATEWAYS[settings.PAYMENT_GATEWAY]()


def mode_of(gateway: Gateway) -> Mode:
    """Return the kind of money that a gateway moves, by its name and its keys."""
    if gateway.name == SandboxGateway.name:
        return Mode.SANDBOX
    return Mode.LIVE if gateway.public["livemode"] else Mode.TEST


def are_open() -> bool:
    """Return whether the gateway of PAYMENT_GATEWAY has the mode of the database, or will give it one.

    While it has another, no money moves, no mail leaves, and no news of a gateway is believed.
    """
    return modes.of_database() in {None, mode_of(configured())}


def require_open() -> bool:
    """Raise PaymentsClosed unless `are_open`; return whether the database has a mode already."""
    held = modes.of_database()
    if held not in {None, mode_of(configured())}:
        raise PaymentsClosed()
    return held is not None


def is_known(name: str) -> bool:
    """Return whether there is a gateway with this name."""
    return name in _GATEWAYS


def is_open(name: str) -> bool:
    """Return whether the database has the mode of this gateway and of PAYMENT_GATEWAY, or none yet.

    Raises KeyError for an unknown name.
    """
    held = modes.of_database()
    return held is None or mode_of(_GATEWAYS[name]()) == mode_of(configured()) == held
