"""Signed messages, the way Stripe signs its webhooks: ``t=<unix time>,v1=<HMAC-SHA-256>``.

What is signed is ``<t>.<body>``. https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
import json
from collections.abc import Iterable

from payments.gateways.base import WebhookRefused


def sign(body: bytes, secret: str, now: float) -> str:
    """The header that proves who wrote ``body``, and when."""
    return f"t={int(now)},v1={_digest(body, secret, int(now))}"


def verify(body: bytes, header: str, secrets: Iterable[str], *, now: float, tolerance: int) -> dict:
    """The message, a JSON object. Raises WebhookRefused.

    Any of the ``secrets`` may have signed it, while one replaces another. ``tolerance`` in seconds,
    both ways: an old message may be somebody's recording.
    """
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise WebhookRefused("The signature header is missing or garbled.")
    signed_at = int(times[0])
    wanted = [_digest(body, secret, signed_at).encode() for secret in secrets]
    if not any(
        hmac.compare_digest(digest, signature.encode("utf-8", "replace"))
        for digest in wanted
        for signature in given
    ):
        raise WebhookRefused("The signature does not fit the message.")
    if abs(now - signed_at) > tolerance:
        raise WebhookRefused("The message is too old, or from the future.")
    try:
        message = json.loads(body.decode())
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise WebhookRefused("The message is not JSON in UTF-8.") from None
    if not isinstance(message, dict):
        raise WebhookRefused("The message is not a JSON object.")
    return message


def _digest(body: bytes, secret: str, signed_at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % signed_at + body, hashlib.sha256).hexdigest()
