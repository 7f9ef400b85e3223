"""The exceptions of the gateways, as the errors that the API answers with."""

from collections.abc import Iterator
from contextlib import contextmanager

from payments.errors import (
    AmountBelowMinimum,
    CardDeclined,
    GatewayUnavailable,
    GoneAtGateway,
    PaymentMethodUnknown,
    PaymentsClosed,
)
from payments.gateways.base import AmountRefused, Declined, MethodUnknown, NotThere

# What `translate_errors` can raise, for the API document.
REFUSALS = (
    AmountBelowMinimum,
    CardDeclined,
    GatewayUnavailable,
    GoneAtGateway,
    PaymentMethodUnknown,
    PaymentsClosed,
)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the domain's error for each exception with which a gateway ends a call in the block.

    Declined becomes CardDeclined, MethodUnknown becomes PaymentMethodUnknown, AmountRefused becomes
    AmountBelowMinimum, NotThere becomes GoneAtGateway, and OSError (the gateway does not answer)
    becomes GatewayUnavailable. Every other exception passes through. Nothing is written.
    """
    try:
        yield
    except Declined as declined:
        raise CardDeclined(declined.decline_code) from None
    except MethodUnknown:
        raise PaymentMethodUnknown() from None
    except AmountRefused as refused:
        raise AmountBelowMinimum(str(refused)) from None
    except NotThere:
        raise GoneAtGateway() from None
    except OSError as error:
        raise GatewayUnavailable() from error
