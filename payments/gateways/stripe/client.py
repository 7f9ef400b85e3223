"""The connection to Stripe, and the translation of its errors into those of all gateways."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar
from uuid import uuid4

import stripe
from django.conf import settings

from payments.gateways.base import (
    AmountRefused,
    Declined,
    GatewayAway,
    MethodUnknown,
    NotThere,
    OutcomeUnknown,
    ReferenceGone,
    RequestRefused,
)
from payments.gateways.json_fields import Json, nested, text

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=stripe.StripeObject)

# With telemetry the SDK writes a file into the home directory of the service's user and sends the
# content of that file with each request.
stripe.enable_telemetry = False

# `mapping` reads the shapes of this version. Read Stripe's changelog before you raise it with the SDK.
API_VERSION = "2026-10-28.endive"
TIMEOUT = (5, 30)  # seconds to connect, and to wait for an answer
RETRIES = 2  # by the SDK, with the same idempotency key
AMOUNT_CODES = {"amount_too_small", "amount_too_large", "invalid_charge_amount"}
# Error codes of a bank that wants the buyer to authenticate, in a request where no buyer is present.
ACTION_CODES = {
    "authentication_required",
    "invoice_payment_intent_requires_action",
    "subscription_payment_intent_requires_action",
}


def connect() -> stripe.StripeClient:
    """Return a client for STRIPE_SECRET_KEY. Raises GatewayAway if that setting is empty."""
    if not settings.STRIPE_SECRET_KEY:
        logger.error("STRIPE_SECRET_KEY is not set.")
        raise GatewayAway("Stripe is not configured.")
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@lru_cache(maxsize=4)  # a client keeps its connections open between calls
def _client(key: str, api_base: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": api_base, "files": api_base} if api_base else {},
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT),
    )


def with_key(key: str) -> stripe.RequestOptions:
    """Return the options of a request with an idempotency key."""
    return {"idempotency_key": key}


def with_new_key() -> stripe.RequestOptions:
    """Return the options of a request that may later be made again and then have another effect.

    Canceling, resuming and canceling once more is an example: with one key for both cancellations
    Stripe would only repeat its first answer.
    """
    return with_key(str(uuid4()))


@contextmanager
def sdk_errors_translated() -> Iterator[None]:
    """Raise the exceptions of `payments.gateways.base` for the SDK's errors in this block."""
    try:
        yield
    except stripe.StripeError as error:
        raise _translated(error) from error


def _translated(error: stripe.StripeError) -> Exception:
    if isinstance(error, stripe.CardError):
        return Declined(_decline_code(error))
    if isinstance(error, stripe.RateLimitError):
        return GatewayAway("Stripe limits the rate of our requests.")
    if isinstance(error, stripe.InvalidRequestError):
        return _invalid_request(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        # The error's message and body stay out of the log, because they quote the key.
        logger.error(
            "Stripe does not accept STRIPE_SECRET_KEY (status %s, request %s).",
            error.http_status,
            error.request_id,
        )
        return GatewayAway("Stripe does not accept our key.")
    # No answer, an internal error, or the answer to an earlier request with the same key: the request
    # may have been carried out.
    logger.warning("No answer from Stripe: %s (%s)", type(error).__name__, error.request_id)
    return OutcomeUnknown(type(error).__name__)


def _invalid_request(error: stripe.InvalidRequestError) -> Exception:
    """Return the exception for a request that Stripe rejects, or whose object it does not have."""
    is_missing = error.code == "resource_missing" or error.http_status == 404
    param = error.param or ""
    if param == "payment_method":
        return MethodUnknown(str(error.user_message))
    # Ids that this service has stored. The object that the caller asked about may well exist.
    if param == "customer" and is_missing:
        logger.warning("Stripe has a customer no more: %s", error)
        return ReferenceGone("customer", str(error.user_message))
    if param.endswith("[price]"):  # also one that was archived
        logger.warning("Stripe bills a price no more: %s", error)
        return ReferenceGone("plan", str(error.user_message))
    if is_missing:
        return NotThere(str(error.user_message))
    if error.code in AMOUNT_CODES:
        return AmountRefused(str(error.user_message))
    logger.error("Stripe refused a request: %s", error)
    return RequestRefused("Stripe refused the request.")


def _decline_code(error: stripe.CardError) -> str:
    if error.code in ACTION_CODES:
        return "authentication_required"
    details = nested(error.json_body, "error")
    return text(details, "decline_code") or error.code or "card_declined"


def key_is_used(missing: str) -> OutcomeUnknown:
    """Return the exception for a key that Stripe has already seen with other parameters.

    Stripe then answers only that the key is used. ``missing`` names the object that the first request
    made and that Stripe's lists do not show yet.
    """
    logger.warning("Stripe knows the idempotency key, and does not list the %s yet.", missing)
    return OutcomeUnknown(f"Stripe does not list the {missing} of an earlier request yet.")


def as_json(answer: stripe.StripeObject) -> Json:
    """Return an object of the SDK as the JSON that Stripe sent."""
    return answer.to_dict()


def all_rows(page: stripe.ListObject[Row]) -> Iterator[Json]:
    """Yield all objects of a list as JSON; further pages are requested while it is iterated."""
    return (as_json(row) for row in page.auto_paging_iter())
