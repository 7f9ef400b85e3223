"""The connection to Stripe, and what its errors mean to us."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import stripe
from django.conf import settings

from payments.gateways.base import (
    AmountRefused,
    Declined,
    GatewayAway,
    MethodUnknown,
    NotThere,
    OutcomeUnknown,
)

logger = logging.getLogger(__name__)

# The SDK would write a file into the home of whoever runs this, and send its content with each call.
stripe.enable_telemetry = False

# The shapes that `mapping` knows. To be moved together with the SDK, after reading Stripe's notes.
API_VERSION = "2026-10-28.endive"
TIMEOUT = (5, 30)  # seconds to connect, and to wait for an answer
RETRIES = 2  # by the SDK, with the same key
# What we have stored ourselves. Its absence is our trouble, and not an answer about what was asked for.
OUR_REFERENCES = ("customer", "items", "line_items", "phases")
AMOUNT_CODES = {"amount_too_small", "amount_too_large", "invalid_charge_amount"}
# What a bank that wants its client to authenticate answers where nobody can be asked.
ACTION_CODES = {
    "authentication_required",
    "invoice_payment_intent_requires_action",
    "subscription_payment_intent_requires_action",
}


def connect() -> stripe.StripeClient:
    """A client for the key of the settings. Raises GatewayAway when there is none."""
    if not settings.STRIPE_SECRET_KEY:
        logger.error("STRIPE_SECRET_KEY is not set.")
        raise GatewayAway("Stripe is not configured.")
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@lru_cache(maxsize=4)  # its connections are kept open between calls
def _client(key: str, api_base: str) -> stripe.StripeClient:
    addresses: Any = {"api": api_base} if api_base else {}
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses=addresses,
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT),
    )


@contextmanager
def our_errors() -> Iterator[None]:
    """Stripe's errors, as those of the interface."""
    try:
        yield
    except stripe.StripeError as error:
        raise translated(error) from error


def translated(error: stripe.StripeError) -> Exception:
    if isinstance(error, stripe.CardError):
        return Declined(decline_code(error))
    if isinstance(error, stripe.RateLimitError):
        return GatewayAway("Stripe asks us to slow down.")
    if isinstance(error, stripe.InvalidRequestError):
        return _refused(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        # Neither the message nor the body: they quote the key.
        logger.error(
            "Stripe does not accept STRIPE_SECRET_KEY (status %s, request %s).",
            error.http_status,
            error.request_id,
        )
        return GatewayAway("Stripe does not accept our key.")
    # No answer, an answer that says nothing, or one to an earlier question with the same key: what
    # was asked for may have been done.
    logger.warning("No answer from Stripe: %s (%s)", type(error).__name__, error.request_id)
    return OutcomeUnknown(type(error).__name__)


def _refused(error: stripe.InvalidRequestError) -> Exception:
    """A question that Stripe does not understand, or whose subject it does not know."""
    missing = error.code == "resource_missing" or error.http_status == 404
    if error.param == "payment_method":
        return MethodUnknown(str(error.user_message))
    if missing and not (error.param or "").startswith(OUR_REFERENCES):
        return NotThere(str(error.user_message))
    if error.code in AMOUNT_CODES:
        return AmountRefused(str(error.user_message))
    logger.error("Stripe refused a request: %s", error)
    return GatewayAway("Stripe refused the request.")


def decline_code(error: stripe.CardError) -> str:
    if error.code in ACTION_CODES:
        return "authentication_required"
    details = (error.json_body or {}).get("error") if isinstance(error.json_body, dict) else None
    details = details if isinstance(details, dict) else {}
    return str(details.get("decline_code") or error.code or "card_declined")


def plain(thing: stripe.StripeObject) -> dict:
    """An answer as the JSON it was."""
    return thing.to_dict()


def every(page: Any) -> Iterator[dict]:
    """All rows of a list, page after page."""
    return (plain(row) for row in page.auto_paging_iter())
