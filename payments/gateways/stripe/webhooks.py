"""The verification of Stripe's webhook messages."""

from collections.abc import Mapping

from django.conf import settings

from payments.gateways import signatures
from payments.gateways.base import GatewayEvent, WebhookRefused
from payments.gateways.json_fields import nested, text
from payments.gateways.stripe import mapping

HEADER = "stripe-signature"


def secrets() -> list[str]:
    """Return the signing secrets of STRIPE_WEBHOOK_SECRETS without the empty ones.

    Anyone could sign a message with an empty secret.
    """
    return [secret for secret in settings.STRIPE_WEBHOOK_SECRETS if secret.strip()]


def verify(body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
    """Check a message's signature and age, and return its event. Raises WebhookRefused."""
    header = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    message = signatures.verify(body, header, secrets())
    event_id, event_type = message.get("id"), message.get("type")
    if not isinstance(event_id, str) or not event_id or not isinstance(event_type, str):
        raise WebhookRefused("The message is not an event: its id or type is missing.")
    change = mapping.change(event_type, nested(message, "data", "object"))
    return GatewayEvent(
        id=event_id,
        type=event_type,
        kind=change.kind if change else "",
        external_id=change.external_id if change else "",
        livemode=message.get("livemode") is True,
        api_version=text(message, "api_version"),
    )
