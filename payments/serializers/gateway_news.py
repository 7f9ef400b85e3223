"""Webhook events and reconciliation in the API."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from payments import examples
from payments.models import WebhookEvent

HOURS_MAX = 31 * 24


@extend_schema_serializer(examples=[examples.answered("Processed", examples.WEBHOOK_EVENT)])
class WebhookEventSerializer(serializers.ModelSerializer):
    """One message of a gateway, and what became of it."""

    class Meta:
        model = WebhookEvent
        fields = [
            "id", "gateway", "external_id", "type", "kind", "object_id", "api_version", "status",
            "attempts", "error", "received_at", "processed_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(examples=[examples.sent("The last day", {"hours": 24})])
class HoursSerializer(serializers.Serializer):
    """How far back a reconciliation looks."""

    hours = serializers.IntegerField(
        min_value=1,
        max_value=HOURS_MAX,
        default=3,
        help_text="Reconcile the changes of this many past hours.",
    )


@extend_schema_serializer(
    examples=[
        examples.answered(
            "One lost event",
            {"looked_at": 2, "changed": ["sandbox payment sbx_0199541a2b007d13"], "failed": []},
        )
    ]
)
class FindingsSerializer(serializers.Serializer):
    """What a reconciliation compared and changed."""

    looked_at = serializers.IntegerField(help_text="The number of objects that were compared.")
    changed = serializers.ListField(
        child=serializers.CharField(), help_text="The objects that were out of date."
    )
    failed = serializers.ListField(
        child=serializers.CharField(), help_text="The objects that could not be compared."
    )
