from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.models import AuditEntry


class ActorSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    email = serializers.EmailField()


class AuditEntrySerializer(serializers.ModelSerializer):
    actor = serializers.SerializerMethodField()
    data = serializers.DictField(help_text="What the action was about, in its own words.")

    class Meta:
        model = AuditEntry
        fields = [
            "id", "at", "actor", "action", "method", "path", "status", "target_type", "target_id",
            "ip", "user_agent", "request_id", "duration_ms", "data", "hash",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(ActorSerializer(allow_null=True))
    def get_actor(self, entry):
        if entry.actor_id is None:
            return None
        return {"id": str(entry.actor_id), "email": getattr(entry.actor, "email", None)}
