"""Access and entitlements in the API."""

from rest_framework import serializers

from payments.models import Entitlement


class AccessSerializer(serializers.Serializer):
    video_id = serializers.UUIDField()
    allowed = serializers.BooleanField()
    access = serializers.CharField(
        allow_null=True, help_text="The reason: free, owner, admin, order or subscription."
    )
    ends_at = serializers.DateTimeField(allow_null=True)


class EntitlementSerializer(serializers.ModelSerializer):
    class Meta:
        model = Entitlement
        fields = ["id", "video_id", "source_type", "starts_at", "ends_at"]
        read_only_fields = fields
