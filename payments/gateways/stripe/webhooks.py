"""Stripe's signed messages."""

from collections.abc import Mapping

from django.conf import settings
from django.utils import timezone

from payments.gateways import signatures
from payments.gateways.base import GatewayEvent, WebhookRefused
from payments.gateways.stripe import mapping

HEADER = "stripe-signature"


def secrets() -> list[str]:
    """Those that can have signed: an empty one would let anybody sign."""
    return [secret for secret in settings.STRIPE_WEBHOOK_SECRETS if secret.strip()]


def verify(body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
    """The event that Stripe sent. Raises WebhookRefused."""
    header = next((text for name, text in headers.items() if name.lower() == HEADER), "")
    message = signatures.verify(
        body,
        header,
        secrets(),
        now=timezone.now().timestamp(),
        tolerance=settings.WEBHOOK_TOLERANCE_SECONDS,
    )
    name, event_type = message.get("id"), message.get("type")
    if not isinstance(name, str) or not name or not isinstance(event_type, str):
        raise WebhookRefused("The message is no event.")
    change = mapping.change(event_type, mapping.child(message, "data", "object"))
    return GatewayEvent(
        id=name,
        type=event_type,
        kind=change.kind if change else "",
        external_id=change.external_id if change else "",
        livemode=message.get("livemode") is True,
        api_version=str(message.get("api_version") or ""),
    )
