"""Endpoints and deliveries in the API."""

import ipaddress
import json
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from config.api.fields import BoundedListField, called_address
from config.texts import validate_name
from webhooks import examples, sending
from webhooks.catalogue import EventType
from webhooks.models import Delivery, Endpoint


class AddressField(serializers.URLField):
    """An https address, without a user and a password. Each connection checks where it leads."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=2000, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        if isinstance(value, str) and value:
            _check_address(value)
        return value


def _check_address(value: str) -> None:
    """Raise a ValidationError for an address that no delivery could be made to."""
    parts = called_address(value)
    schemes = {"http", "https"} if settings.WEBHOOK_ALLOW_LOCAL else {"https"}
    if parts.scheme not in schemes:
        raise serializers.ValidationError("Use an https address.")
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:  # a name
        return
    if not address.is_global and not (settings.WEBHOOK_ALLOW_LOCAL and address.is_loopback):
        raise serializers.ValidationError(
            "The address leads to a machine that is not on the public Internet. Use another one."
        )


class EventTypesField(BoundedListField):
    """Names of event types, without repeats, in alphabetical order."""

    child = serializers.ChoiceField(choices=EventType.choices)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        return sorted({str(each) for each in super().to_internal_value(data)})


@extend_schema_serializer(
    examples=[
        examples.sent(
            "Two types",
            {name: examples.ENDPOINT[name] for name in ("url", "description", "event_types")},
        ),
        examples.answered("Active", examples.ENDPOINT),
    ]
)
class EndpointSerializer(serializers.ModelSerializer):
    """An address of another system that is told of events. Its secret is never shown again."""

    url = AddressField(help_text="An https address on the public Internet.")
    description = serializers.CharField(
        max_length=200, required=False, allow_blank=True, validators=[validate_name]
    )
    event_types = EventTypesField(
        required=False,
        help_text="The types to be told of. An empty list: all that you may receive.",
    )
    is_active = serializers.BooleanField(read_only=True)

    class Meta:
        model = Endpoint
        fields = [
            "id", "owner_id", "url", "description", "event_types", "is_active", "disabled_at",
            "disabled_reason", "failing_since", "previous_until", "created_at",
        ]  # fmt: skip
        read_only_fields = [
            "owner_id", "disabled_at", "disabled_reason", "failing_since", "previous_until",
            "created_at",
        ]  # fmt: skip
        extra_kwargs = {
            "failing_since": {"help_text": "No event was taken since then. Null: all is well."},
            "previous_until": {"help_text": "Until then the secret before the last one signs too."},
        }


@extend_schema_serializer(
    examples=[
        examples.sent("Disable", {"is_active": False}),
        examples.sent("A new secret", {"rotate_secret": True}),
    ]
)
class ChangeEndpointSerializer(EndpointSerializer):
    """What of an endpoint may be changed."""

    url = AddressField(required=False)
    is_active = serializers.BooleanField(
        required=False, help_text="false stops new events. true starts them again."
    )
    rotate_secret = serializers.BooleanField(
        required=False,
        help_text="true makes a new secret, which the answer shows. The old one signs too for a day.",
    )

    class Meta(EndpointSerializer.Meta):
        fields = ["url", "description", "event_types", "is_active", "rotate_secret"]
        read_only_fields: list[str] = []
        extra_kwargs: dict[str, Any] = {}


@extend_schema_serializer(
    examples=[examples.answered("Created", {**examples.ENDPOINT, "secret": examples.SECRET})]
)
class SecretEndpointSerializer(EndpointSerializer):
    """An endpoint with its new secret, which is shown in this answer alone."""

    secret = serializers.CharField(read_only=True)

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        examples.answered("Changed", examples.ENDPOINT),
        examples.answered("With a new secret", {**examples.ENDPOINT, "secret": examples.SECRET}),
    ]
)
class ChangedEndpointSerializer(SecretEndpointSerializer):
    """An endpoint; after `rotate_secret` with its new secret, which is shown in this answer alone."""

    NOT_ALWAYS_SENT = ("secret",)

    def to_representation(self, endpoint: Endpoint) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(endpoint)
        if not self.context.get("shows_secret"):
            shown.pop("secret")
        return shown


@extend_schema_serializer(examples=[examples.answered("Delivered", examples.DELIVERY)])
class DeliverySerializer(serializers.ModelSerializer):
    """One event for one endpoint, and the answer to the latest attempt."""

    endpoint_id = serializers.UUIDField(read_only=True)
    message_id = serializers.SerializerMethodField(
        help_text="The `webhook-id`: the same for each attempt and replay."
    )
    event_type = serializers.CharField(source="event.type", read_only=True)
    next_attempt_at = serializers.SerializerMethodField()
    payload = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields = [
            "id", "endpoint_id", "message_id", "event_type", "status", "attempts", "created_at",
            "attempted_at", "next_attempt_at", "finished_at", "answer_status", "answer_excerpt",
            "duration_ms", "failure", "payload",
        ]  # fmt: skip
        read_only_fields = fields

    def get_message_id(self, delivery: Delivery) -> str:
        return sending.message_id(delivery)

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_next_attempt_at(self, delivery: Delivery) -> str | None:
        if delivery.status != Delivery.Status.WAITING:
            return None
        at = max(delivery.not_before, delivery.endpoint.not_before)
        shown: str | None = serializers.DateTimeField().to_representation(at)
        return shown

    @extend_schema_field(
        {
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"type": "string"},
                "timestamp": {"type": "string", "format": "date-time"},
                "data": {"type": "object", "additionalProperties": {}},
            },
        }
    )
    def get_payload(self, delivery: Delivery) -> Any:
        return json.loads(delivery.event.body)
