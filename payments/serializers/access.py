"""Access and entitlements in the API."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from payments import examples
from payments.entitlements import KINDS
from payments.models import Entitlement


@extend_schema_serializer(
    examples=[
        examples.answered(
            "Bought",
            {"video_id": examples.VIDEO, "allowed": True, "access": "order", "ends_at": None},
        )
    ]
)
class AccessSerializer(serializers.Serializer):
    """Whether the caller may watch a video, why, and until when (null: without an end)."""

    video_id = serializers.UUIDField()
    allowed = serializers.BooleanField()
    access = serializers.ChoiceField(
        choices=KINDS, allow_null=True, help_text="The reason of the access; null without access."
    )
    ends_at = serializers.DateTimeField(allow_null=True)


@extend_schema_serializer(examples=[examples.answered("Bought", examples.ENTITLEMENT)])
class EntitlementSerializer(serializers.ModelSerializer):
    """What lets the caller watch one video, or with ``video_id`` null every video."""

    class Meta:
        model = Entitlement
        fields = ["id", "video_id", "source_type", "starts_at", "ends_at"]
        read_only_fields = fields
