from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema_field,
    extend_schema_serializer,
    inline_serializer,
)
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from videos.models import ProcessingJob, Video

TAGS_MAX = 20


class TagsField(serializers.ListField):
    """Words in lower case, without repeats, in order."""

    child = serializers.CharField(max_length=40)

    def __init__(self, **kwargs):
        super().__init__(max_length=TAGS_MAX, **kwargs)

    def to_internal_value(self, data):
        words = {word.strip().lower() for word in super().to_internal_value(data)}
        if any(len(word) > self.child.max_length for word in words):  # some letters grow
            self.fail("max_length", max_length=self.child.max_length)
        return sorted(words - {""})

    def to_representation(self, tags):
        return sorted(tag.name for tag in tags.all())


class CreatorSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    display_name = serializers.CharField(source="public_name")


class RenditionSerializer(serializers.Serializer):
    name = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    video_bitrate = serializers.IntegerField(help_text="Bits a second, measured.")
    codecs = serializers.CharField(help_text="RFC 6381.")


CaptionSerializer = inline_serializer(
    "CaptionSummary",
    {
        "id": serializers.UUIDField(),
        "language": serializers.CharField(),
        "label": serializers.CharField(),
    },
    many=True,
)
ProcessingSerializer = inline_serializer(
    "Processing",
    {
        "step": serializers.CharField(allow_null=True),
        "percent": serializers.IntegerField(),
        "attempts": serializers.IntegerField(),
        "queue_position": serializers.IntegerField(allow_null=True),
        "eta_seconds": serializers.IntegerField(allow_null=True),
        "error": inline_serializer(
            "ProcessingError",
            {"code": serializers.CharField(), "detail": serializers.CharField()},
            allow_null=True,
        ),
    },
)
SourceSerializer = inline_serializer(
    "Source",
    {
        "filename": serializers.CharField(),
        "size": serializers.IntegerField(allow_null=True),
        "checksum": serializers.CharField(),
        "container": serializers.CharField(),
        "video_codec": serializers.CharField(),
        "audio_codec": serializers.CharField(),
    },
    allow_null=True,
)

EXAMPLE = {
    "title": "The harbour at night",
    "description": "Twelve minutes of fog and lights.",
    "is_paid": True,
    "price": "19.99",
    "currency": "USD",
    "category": "documentary",
    "tags": ["fog", "harbour"],
}


@extend_schema_serializer(
    examples=[OpenApiExample("A paid film", value=EXAMPLE, request_only=True)]
)
class VideoSerializer(serializers.ModelSerializer):
    """A film. Its owner and administrators also see ``processing``, ``source`` and ``deleted_at``."""

    creator = CreatorSerializer(read_only=True)
    price = MoneyField(required=False)
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    tags = TagsField(required=False)
    playable = serializers.BooleanField(source="is_playable", read_only=True)
    rental_price = serializers.SerializerMethodField()
    rental_hours = serializers.SerializerMethodField()
    poster_url = serializers.SerializerMethodField()
    storyboard_url = serializers.SerializerMethodField()
    renditions = RenditionSerializer(many=True, read_only=True)
    captions = serializers.SerializerMethodField()
    processing = serializers.SerializerMethodField()
    source = serializers.SerializerMethodField()

    class Meta:
        model = Video
        fields = [
            "id", "title", "description", "creator", "status", "playable", "visibility", "is_paid",
            "price", "currency", "rental_price", "rental_hours", "category", "tags",
            "duration_seconds", "width", "height", "poster_url", "storyboard_url", "renditions",
            "captions", "views", "likes", "dislikes", "created_at", "published_at",
            "processing", "source", "deleted_at",
        ]  # fmt: skip
        read_only_fields = [
            "status", "duration_seconds", "width", "height", "views", "likes", "dislikes",
            "created_at", "published_at", "deleted_at",
        ]  # fmt: skip

    PRIVATE = ("processing", "source", "deleted_at")

    def to_representation(self, video):
        data = super().to_representation(video)
        if not self._is_insider(video):
            for name in self.PRIVATE:
                del data[name]
        return data

    def _is_insider(self, video) -> bool:
        user = self.context["request"].user
        return user.is_authenticated and (
            video.creator_id == user.pk or user.has_perm("videos.manage_any_video")
        )

    def validate(self, attrs):
        """Price, currency and is_paid are one rule, also when only one of them is changed."""
        before = self.instance
        if before and not {"is_paid", "price", "currency"} & attrs.keys():
            return attrs
        is_paid = attrs.get("is_paid", before.is_paid if before else False)
        currency = attrs.get("currency", before.currency if before else settings.DEFAULT_CURRENCY)
        if "price" in attrs:
            try:
                price = money.to_minor(attrs["price"], currency)
            except money.NotMoney as error:
                raise serializers.ValidationError({"price": str(error)}, code="invalid") from None
        else:
            price = before.price if before and before.currency == currency else 0
        if price < 0:
            raise serializers.ValidationError(
                {"price": "A price cannot be negative."}, code="min_value"
            )
        if is_paid and price == 0:
            raise serializers.ValidationError(
                {"price": "A paid film needs a price above zero."}, code="required"
            )
        return {**attrs, "is_paid": is_paid, "currency": currency, "price": price if is_paid else 0}

    @extend_schema_field({"type": "string", "nullable": True})
    def get_rental_price(self, video):
        return None  # films are not rented yet

    @extend_schema_field({"type": "integer", "nullable": True})
    def get_rental_hours(self, video):
        return None

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_poster_url(self, video):
        if not video.is_playable:
            return None
        # The version in the address lets every cache keep the picture for good.
        path = reverse("video-poster", args=[video.pk])
        return self.context["request"].build_absolute_uri(f"{path}?v={video.current_version}")

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_storyboard_url(self, video):
        return None

    @extend_schema_field(CaptionSerializer)
    def get_captions(self, video):
        return []

    @extend_schema_field(ProcessingSerializer)
    def get_processing(self, video):
        job = video.job
        if job is None:
            return {
                "step": None, "percent": 0, "attempts": 0, "queue_position": None,
                "eta_seconds": None, "error": None,
            }  # fmt: skip
        queued = job.state == ProcessingJob.State.QUEUED
        return {
            "step": "queued" if queued else job.step or None,
            "percent": job.percent,
            "attempts": job.attempt,
            "queue_position": 1 + (getattr(video, "jobs_ahead", 0) or 0) if queued else None,
            "eta_seconds": _eta(job),
            "error": {"code": job.error_code, "detail": job.error_detail}
            if job.error_code
            else None,
        }

    @extend_schema_field(SourceSerializer)
    def get_source(self, video):
        if not video.source_path:
            return None
        return {
            "filename": video.source_filename,
            "size": video.source_size,
            "checksum": video.source_checksum,
            "container": video.source_container,
            "video_codec": video.source_video_codec,
            "audio_codec": video.source_audio_codec,
        }


def _eta(job: ProcessingJob) -> int | None:
    """Seconds left, if the rest goes as fast as what is done; None while that says nothing."""
    if job.state != ProcessingJob.State.RUNNING or job.percent < 3 or job.started_at is None:
        return None
    elapsed = (timezone.now() - job.started_at).total_seconds()
    return max(0, round(elapsed * (100 - job.percent) / job.percent))


class VideoUploadSerializer(VideoSerializer):
    """Creation with the file in the same call (multipart/form-data)."""

    file = serializers.FileField(write_only=True, required=False)

    class Meta(VideoSerializer.Meta):
        fields = [*VideoSerializer.Meta.fields, "file"]


class FileSerializer(serializers.Serializer):
    file = serializers.FileField()
