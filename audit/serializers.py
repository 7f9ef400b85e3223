from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.models import AuditEntry
from audit.reading import Line


class ActorSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField(allow_null=True, help_text="null for a deleted user")


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """A line of the log: an audit entry, or an API request, which has the same attributes."""

    actor = serializers.SerializerMethodField()
    data = serializers.DictField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text=(
            "Details of the action. The keys depend on the action: `count` and `until` for API"
            " requests that are counted instead of listed."
        )
    )

    class Meta:
        model = AuditEntry
        fields = [
            "id", "at", "actor", "action", "method", "path", "status", "target_type", "target_id",
            "ip", "user_agent", "request_id", "duration_ms", "data", "hash",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {
            "hash": {
                "help_text": "null for API requests, which are not chained, and for a moment for others."
            }
        }

    @extend_schema_field(ActorSerializer(allow_null=True))
    def get_actor(self, entry: Line) -> dict[str, str | None] | None:
        """Return id and e-mail address. The address of a deleted user is None."""
        if entry.actor_id is None:
            return None
        return {"id": str(entry.actor_id), "email": getattr(entry.actor, "email", None)}
