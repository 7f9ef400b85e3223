"""The verification of Stripe's webhook messages."""

from collections.abc import Mapping

from django.conf import settings

from payments.gateways import signatures
from payments.gateways.base import GatewayEvent, WebhookRefused
from payments.gateways.json_fields import Json, nested, text
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
    reported = nested(message, "data", "object") or _named(message)
    change = mapping.change(event_type.removeprefix("v1."), reported)
    return GatewayEvent(
        id=event_id,
        type=event_type,
        kind=change.kind if change else "",
        external_id=change.external_id if change else "",
        livemode=message.get("livemode") is True,
        api_version=text(message, "api_version"),
    )


def _named(message: Json) -> Json:
    """Return the object that a thin event names, as far as it tells of it: its id and its type.

    Thin events carry no data: https://docs.stripe.com/event-destinations#thin-events. A refund, dispute
    or invoice does not lead to its payment or subscription that way; reconciliation finds it.
    """
    related = nested(message, "related_object")
    return {"id": related.get("id"), "object": related.get("type")} if related else {}
