"""Signed webhook messages in Stripe's format, which the sandbox uses too.

The header is ``t=<unix time>,v1=<signature>``. The signature is the HMAC-SHA-256 of ``<t>.<body>`` in
hexadecimal. https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterable

from django.conf import settings

from payments.gateways.base import WebhookRefused
from payments.gateways.json_fields import Json


def sign(body: bytes, secret: str, signed_at: float) -> str:
    """Return the signature header of a message that is sent at ``signed_at``, in Unix seconds."""
    return f"t={int(signed_at)},v1={_signature(body, secret, int(signed_at))}"


def verify(body: bytes, header: str, secrets: Iterable[str]) -> Json:
    """Check a message's signature and age, and return its JSON object. Raises WebhookRefused.

    Any of ``secrets`` may have signed it, so that a secret can be replaced without losing messages. The
    message may be WEBHOOK_TOLERANCE_SECONDS older or newer than now: an older one may be a recording
    that an attacker sends again.
    """
    fields = [field.partition("=") for field in header.split(",")]
    times = [value for name, _, value in fields if name.strip() == "t"]
    given = [value.strip() for name, _, value in fields if name.strip() == "v1"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise WebhookRefused("The signature header is missing or unreadable.")
    signed_at = int(times[0])
    expected = [_signature(body, secret, signed_at).encode() for secret in secrets]
    if not any(
        hmac.compare_digest(signature, candidate.encode("utf-8", "replace"))
        for signature in expected
        for candidate in given
    ):
        raise WebhookRefused("The signature does not match the message.")
    if abs(time.time() - signed_at) > settings.WEBHOOK_TOLERANCE_SECONDS:
        raise WebhookRefused("The message is too old, or its time lies in the future.")
    try:
        message = json.loads(body.decode())
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise WebhookRefused("The message is not JSON in UTF-8.") from None
    if not isinstance(message, dict):
        raise WebhookRefused("The message is not a JSON object.")
    return message


def _signature(body: bytes, secret: str, signed_at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % signed_at + body, hashlib.sha256).hexdigest()
