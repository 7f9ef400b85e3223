"""API keys in the API."""

from datetime import datetime

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.scopes import Scope
from config.api.fields import BoundedListField
from config.texts import validate_name

_KEY = {
    "id": "019f1c3e-2a51-7d0e-9f3b-6f1f0c2b7a10",
    "name": "backup server",
    "prefix": "vod_019f1c3e2a517d0e9f3b6f1f0c2b7a10_",
    "scopes": ["uploads", "videos:read"],
    "created_at": "2026-11-28T09:00:00Z",
    "last_used_at": None,
    "expires_at": "2027-11-28T09:00:00Z",
}


class ScopesField(BoundedListField):
    """Names of scopes, at least one, without repeats, in alphabetical order."""

    child = serializers.ChoiceField(choices=Scope.choices)

    def __init__(self) -> None:
        super().__init__(
            min_length=1, max_length=50, help_text="What the key may do, as far as you may do it."
        )

    def to_internal_value(self, data: object) -> list[str]:
        return sorted({str(each) for each in super().to_internal_value(data)})


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A server that uploads",
            value={name: _KEY[name] for name in ("name", "scopes", "expires_at")},
            request_only=True,
        ),
        OpenApiExample("A key of mine", value=_KEY, response_only=True),
    ]
)
class ApiKeySerializer(serializers.ModelSerializer):
    name = serializers.CharField(
        max_length=60,
        validators=[validate_name],
        help_text="Your name for the key. The audit log keeps it, so it must not be an e-mail address.",
    )
    scopes = ScopesField()
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Null: it does not expire."
    )
    prefix = serializers.CharField(read_only=True, help_text="The beginning of the key.")

    class Meta:
        model = ApiKey
        fields = ["id", "name", "prefix", "scopes", "created_at", "last_used_at", "expires_at"]
        read_only_fields = ["id", "created_at", "last_used_at"]
        extra_kwargs = {"last_used_at": {"help_text": "To the minute; null before the first use."}}

    def validate_name(self, value: str) -> str:
        if "@" in value:
            raise serializers.ValidationError("Choose a name without an e-mail address.")
        return value

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This moment is past. Choose a later one.")
        return value


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A new key",
            value=_KEY | {"key": f"{_KEY['prefix']}CW8vVt0mN3kq5sJ2xYb7RfUeAaHgZdLpQi4oTnCyM1E"},
            response_only=True,
        )
    ]
)
class NewApiKeySerializer(ApiKeySerializer):
    key = serializers.CharField(
        read_only=True, help_text="The key itself. No later answer shows it again."
    )

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]
