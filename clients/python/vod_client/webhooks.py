"""Webhooks, verified as Standard Webhooks describes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

__all__ = ["Event", "WebhookVerificationError", "verify_webhook"]


@dataclass(frozen=True)
class Event:
    """A verified event. ``id`` is the same for each attempt: remember it, an event may arrive twice."""

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]


def verify_webhook(body: bytes, headers: Mapping[str, str], secret: str) -> Event:
    """Return the event of a request, from its body as it came and its headers, in any case of letters.

    Raises WebhookVerificationError for another signature, and for a time more than five minutes away.
    ``secret`` is the endpoint's ``whsec_…``.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    Webhook(secret).verify(body, lower, json_parse=False)
    payload = json.loads(body)
    return Event(lower["webhook-id"], payload["type"], payload["timestamp"], payload["data"])
