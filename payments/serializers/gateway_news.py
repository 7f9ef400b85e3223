"""Webhook events and reconciliation in the API."""

from rest_framework import serializers

from payments.models import WebhookEvent

HOURS_MAX = 31 * 24


class WebhookEventSerializer(serializers.ModelSerializer):
    status = serializers.CharField(read_only=True)

    class Meta:
        model = WebhookEvent
        fields = [
            "id", "gateway", "external_id", "type", "kind", "object_id", "api_version", "status",
            "attempts", "error", "received_at", "processed_at",
        ]  # fmt: skip
        read_only_fields = fields


class HoursSerializer(serializers.Serializer):
    hours = serializers.IntegerField(
        min_value=1,
        max_value=HOURS_MAX,
        default=3,
        help_text="Reconcile the changes of this many past hours.",
    )


class FindingsSerializer(serializers.Serializer):
    looked_at = serializers.IntegerField(help_text="The number of objects that were compared.")
    changed = serializers.ListField(
        child=serializers.CharField(), help_text="The objects that were out of date."
    )
    failed = serializers.ListField(
        child=serializers.CharField(), help_text="The objects that could not be compared."
    )
