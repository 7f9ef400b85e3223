"""The bodies of requests and answers of the streaming API."""

import math

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from config.api.fields import BoundedListField
from config.api.representation import Compiled
from streaming.models import PlaybackSession

FORMATS = ["hls", "dash"]
STATES = ["playing", "paused", "buffering", "ended"]  # of a player
SECONDS_MAX = 10_000_000


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "The whole video",
            value={
                "stream_token": "WyIwMThm…:1vQ2aB:Zk3…",
                "stream_url": "/api/v1/stream/play/WyIwMThm…:1vQ2aB:Zk3…",
                "expires_in_seconds": 60,
                "formats": FORMATS,
                "is_preview": False,
                "preview_seconds": None,
            },
            response_only=True,
        ),
        OpenApiExample(
            "A preview",
            value={
                "stream_token": "WyIwMThm…:1vQ2aB:Zk3…",
                "stream_url": "/api/v1/stream/play/WyIwMThm…:1vQ2aB:Zk3…",
                "expires_in_seconds": 60,
                "formats": FORMATS,
                "is_preview": True,
                "preview_seconds": 30,
            },
            response_only=True,
        ),
    ]
)
class StreamTokenSerializer(serializers.Serializer):
    """A stream token, and the address that turns it into a playback session."""

    stream_token = serializers.CharField()
    stream_url = serializers.CharField(
        help_text="The address that redeems the token, relative to this host."
    )
    expires_in_seconds = serializers.IntegerField(
        help_text="Seconds within which the token must be redeemed."
    )
    formats = serializers.ListField(
        child=serializers.ChoiceField(choices=FORMATS),
        help_text="The values that the query parameter `format` of `stream_url` takes for this video. "
        "Only `hls` while its first rendition is still being made, and where segments are "
        "encrypted as a whole (AES-128).",
    )
    is_preview = serializers.BooleanField(
        help_text="Whether the token is for the preview, and not for the whole video."
    )
    preview_seconds = serializers.IntegerField(
        allow_null=True, help_text="Seconds of the preview; null for the whole video."
    )


class PlayedTextSerializer(serializers.Serializer):
    """A caption of a session, for players that do not take texts from the manifest."""

    id = serializers.UUIDField()
    language = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF takes it from the class
    kind = serializers.CharField()
    is_forced = serializers.BooleanField()
    is_sdh = serializers.BooleanField()
    is_default = serializers.BooleanField()
    url = serializers.URLField(help_text="The text as WebVTT.")


class KeySystemSerializer(serializers.Serializer):
    """A key system by which a browser can get the keys of the session's video (EME)."""

    key_system = serializers.CharField(
        help_text="As browsers name it: `org.w3.clearkey`, `com.widevine.alpha`,"
        " `com.microsoft.playready`, `com.apple.fps`."
    )
    licence_url = serializers.URLField(
        help_text="The address to which a player sends its licence request. Of `org.w3.clearkey` it is"
        " this service: a POST of JSON with `kids`, answered with a JSON Web Key Set."
    )
    certificate_url = serializers.URLField(
        allow_null=True, help_text="The certificate of the licence server, for `com.apple.fps`."
    )


class DrmSerializer(serializers.Serializer):
    """How the samples of the session's video are encrypted, and who gives the keys."""

    scheme = serializers.ChoiceField(
        choices=["cbcs"], help_text="The protection scheme (ISO/IEC 23001-7)."
    )
    systems = KeySystemSerializer(many=True)


class PlaybackSerializer(serializers.Serializer):
    """A playback session, the addresses of its manifests and the address for its heartbeats."""

    session_id = serializers.UUIDField()
    grant = serializers.CharField(
        help_text="Opens this session's media files; send it as `Playback-Grant` with heartbeats."
    )
    hls_url = serializers.URLField()
    dash_url = serializers.URLField(
        allow_null=True,
        help_text="Null while the first rendition of the video is still being made, and where segments "
        "are encrypted as a whole (AES-128).",
    )
    heartbeat_url = serializers.URLField()
    heartbeat_interval_seconds = serializers.IntegerField(
        help_text="Seconds between two heartbeats of a player."
    )
    resume_seconds = serializers.FloatField(
        help_text="Where the viewer stopped, on whichever device: the place in the latest heartbeat. 0"
        " for the beginning, also when the video was watched to its end."
    )
    is_preview = serializers.BooleanField(
        help_text="Whether the session ends with the preview. Ask for a new token after buying."
    )
    preview_seconds = serializers.IntegerField(
        allow_null=True,
        help_text="Seconds of the preview; at most one segment more can be played. Null for the whole "
        "video.",
    )
    drm = DrmSerializer(
        allow_null=True,
        help_text="Null unless the video is in common encryption. Then a player needs one of the"
        " `systems`, in HLS and in DASH.",
    )
    captions = PlayedTextSerializer(many=True)
    chapters_url = serializers.URLField(allow_null=True, help_text="The chapters as WebVTT.")
    storyboard_url = serializers.URLField(
        allow_null=True, help_text="Small pictures of the whole video, as WebVTT that names them."
    )


class SessionSerializer(Compiled, serializers.ModelSerializer):
    """A running playback session of the caller."""

    video_id = serializers.UUIDField(read_only=True)
    video_title = serializers.CharField(source="video.title", read_only=True)
    device = serializers.CharField(
        source="device_name",
        read_only=True,
        help_text='What the client says it is, in words: "Firefox on Windows".',
    )

    class Meta:
        model = PlaybackSession
        fields = [
            "id", "video_id", "video_title", "device", "user_agent", "state", "position_seconds",
            "created_at", "last_seen_at", "expires_at",
        ]  # fmt: skip
        read_only_fields = fields


class SecondsField(serializers.FloatField):
    """A position in a video, in seconds from its beginning.

    Refuses NaN and the infinities: FloatField accepts them, and no bound excludes NaN.
    """

    def __init__(self):
        super().__init__(min_value=0, max_value=SECONDS_MAX)

    def to_internal_value(self, data) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class IntervalField(BoundedListField):
    """A pair ``[from, to]`` of positions in the video, in seconds, with from ≤ to."""

    child = SecondsField()

    def __init__(self, **kwargs):
        super().__init__(min_length=2, max_length=2, **kwargs)

    def to_internal_value(self, data):
        start, end = super().to_internal_value(data)
        if end < start:
            raise serializers.ValidationError(
                "An interval cannot end before it begins. Send the smaller position first."
            )
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
    """A player's report since its last heartbeat."""

    position_seconds = SecondsField()
    state = serializers.ChoiceField(choices=STATES)
    watched = BoundedListField(
        child=IntervalField(),
        max_length=100,
        required=False,
        allow_null=True,
        help_text=(
            "The parts of the video that were played. Without it, the way from the last reported"
            " position to this one counts, unless it is too long to have been played."
        ),
    )
    rebuffer_ms = serializers.IntegerField(
        min_value=0,
        max_value=3_600_000,
        default=0,
        help_text="Milliseconds of stalling since the last heartbeat.",
    )
    startup_ms = serializers.IntegerField(
        min_value=0,
        max_value=3_600_000,
        required=False,
        allow_null=True,
        help_text=(
            "Milliseconds from pressing play to the first picture. The first value of a session"
            " is kept."
        ),
    )
