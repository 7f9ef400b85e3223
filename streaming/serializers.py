import math

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from streaming.heartbeats import Beat
from streaming.models import PlaybackSession

FORMATS = ["hls", "dash"]
SECONDS_MAX = 10_000_000


class StreamTokenSerializer(serializers.Serializer):
    stream_token = serializers.CharField()
    stream_url = serializers.CharField(help_text="Redeem it here, within its minute.")
    expires_in_seconds = serializers.IntegerField()
    formats = serializers.ListField(child=serializers.ChoiceField(choices=FORMATS))


class PlaybackSerializer(serializers.Serializer):
    session_id = serializers.UUIDField()
    grant = serializers.CharField()
    hls_url = serializers.URLField()
    dash_url = serializers.URLField()
    heartbeat_url = serializers.URLField()
    heartbeat_interval_seconds = serializers.IntegerField()


class SessionSerializer(serializers.ModelSerializer):
    video_id = serializers.UUIDField(read_only=True)
    video_title = serializers.CharField(source="video.title", read_only=True)

    class Meta:
        model = PlaybackSession
        fields = [
            "id", "video_id", "video_title", "user_agent", "state", "position_seconds",
            "created_at", "last_seen_at", "expires_at",
        ]  # fmt: skip
        read_only_fields = fields


class SecondsField(serializers.FloatField):
    """A moment of a video. FloatField takes "NaN", which is neither below nor above any bound."""

    def __init__(self):
        super().__init__(min_value=0, max_value=SECONDS_MAX)

    def to_internal_value(self, data) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class IntervalField(serializers.ListField):
    """``[from, to]`` in seconds of the video."""

    child = SecondsField()

    def __init__(self, **kwargs):
        super().__init__(min_length=2, max_length=2, **kwargs)

    def to_internal_value(self, data):
        moments = super().to_internal_value(data)
        if len(moments) != 2:  # the field's own check of the length comes after this
            raise serializers.ValidationError("An interval has a beginning and an end.")
        start, end = moments
        if end < start:
            raise serializers.ValidationError("An interval cannot end before it begins.")
        return start, end


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Ten seconds in",
            value={"position_seconds": 10.0, "state": "playing", "watched": [[0.0, 10.0]]},
            request_only=True,
        )
    ]
)
class HeartbeatSerializer(serializers.Serializer):
    position_seconds = SecondsField()
    state = serializers.ChoiceField(choices=["playing", "paused", "buffering", "ended"])
    watched = serializers.ListField(
        child=IntervalField(), max_length=100, required=False, allow_null=True
    )
    rebuffer_ms = serializers.IntegerField(min_value=0, max_value=3_600_000, default=0)
    startup_ms = serializers.IntegerField(
        min_value=0, max_value=3_600_000, required=False, allow_null=True
    )

    def beat(self) -> Beat:
        return Beat(**self.validated_data)
