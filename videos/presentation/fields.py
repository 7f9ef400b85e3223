"""The fields of a video that say what it is presented with."""

from functools import cached_property
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from videos import reading
from videos.models import Caption
from videos.versions import poster_name

NIL = UUID(int=0)
CaptionSummarySerializer = inline_serializer(
    "CaptionSummary",
    {
        "id": serializers.UUIDField(),
        "language": serializers.CharField(help_text="A tag of BCP 47."),
        "label": serializers.CharField(),
        "kind": serializers.ChoiceField(choices=Caption.Kind.choices),
        "is_automatic": serializers.BooleanField(),
        "is_forced": serializers.BooleanField(),
        "is_sdh": serializers.BooleanField(),
        "is_default": serializers.BooleanField(),
        "url": serializers.URLField(help_text="The text, for those who may watch the video."),
    },
    many=True,
)
ChapterSummarySerializer = inline_serializer(
    "ChapterSummary",
    {"start_seconds": serializers.FloatField(), "title": serializers.CharField()},
    many=True,
)
AudioTrackSerializer = inline_serializer(
    "AudioTrack",
    {
        "language": serializers.CharField(help_text='A tag of BCP 47; "und" if it is unknown.'),
        "label": serializers.CharField(),
        "is_default": serializers.BooleanField(),
        "roles": serializers.ListField(
            child=serializers.CharField(),
            help_text="`commentary`, `description`, `dub` or `enhanced-audio-intelligibility`.",
        ),
    },
    many=True,
)


class PresentedFields(serializers.Serializer):
    """Poster, storyboard, captions, chapters and sound tracks of a video."""

    poster_url = serializers.SerializerMethodField()
    storyboard_url = serializers.SerializerMethodField()
    captions = serializers.SerializerMethodField()
    chapters = serializers.SerializerMethodField()
    audio_tracks = serializers.SerializerMethodField()

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_poster_url(self, video):
        return self.poster_of(video.pk, video.current_version, video.poster_tag)

    def poster_of(self, pk, version, tag):
        """Return the address of a video's poster, or None if it has none."""
        if not (version or tag):
            return None
        before, after = self._around_id
        # The name in the address lets caches keep the picture: another picture has another name.
        return f"{before}{pk}{after}?v={poster_name(version, tag)}"

    @cached_property
    def _around_id(self) -> list[str]:
        """The address of a poster before the video's id, and after it."""
        address = self.context["request"].build_absolute_uri(reverse("video-poster", args=[NIL]))
        return address.split(str(NIL))

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_storyboard_url(self, video):
        return self.storyboard_of(video.pk, video.has_storyboard)

    def storyboard_of(self, pk, has_storyboard):
        """Return the address of a video's storyboard, or None if it has none."""
        if not has_storyboard:
            return None
        before, after = self._around_storyboard
        return f"{before}{pk}{after}"

    @cached_property
    def _around_storyboard(self) -> list[str]:
        path = reverse("storyboard-index", args=[NIL])
        return self.context["request"].build_absolute_uri(path).split(str(NIL))

    @extend_schema_field(CaptionSummarySerializer)
    def get_captions(self, video):
        rows = vars(video).get("caption_rows")  # videos.reading
        rows = video.captions.all() if rows is None else rows
        return [self.caption_of(video.pk, row) for row in rows]

    def caption_of(self, video_pk, caption):
        """Return a caption in a video."""
        before, between, after = self._around_text
        return {
            **{name: getattr(caption, name) for name in reading.CAPTION},
            "url": f"{before}{video_pk}{between}{caption.pk}{after}",
        }

    @cached_property
    def _around_text(self) -> list[str]:
        path = reverse("caption-text", args=[NIL, NIL])
        return self.context["request"].build_absolute_uri(path).split(str(NIL))

    @extend_schema_field(ChapterSummarySerializer)
    def get_chapters(self, video):
        return video.chapters

    @extend_schema_field(AudioTrackSerializer)
    def get_audio_tracks(self, video):
        return video.audio_tracks
