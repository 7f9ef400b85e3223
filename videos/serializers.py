import unicodedata
from functools import cached_property
from typing import Any, ClassVar, cast
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from config import money
from config.api.fields import BoundedListField, EmbedDomainsField, MoneyField, called_address
from config.api.representation import Compiled
from config.api.serializers import CompleteErrors
from config.texts import validate_name
from videos import estimates
from videos.availability import policy
from videos.availability.fields import AvailabilityFields
from videos.models import ProcessingJob, Video
from videos.moderation import standing
from videos.moderation.serializers import ModerationSerializer
from videos.presentation.fields import PresentedFields
from videos.preview_fields import PreviewFields

TAGS_MAX = 20
TAG_LETTERS_MAX = 40


class TagsField(BoundedListField):
    """Tags of a video: words in lower case, without repeats, in alphabetical order."""

    child = serializers.CharField(max_length=TAG_LETTERS_MAX, validators=[validate_name])

    def __init__(self, **kwargs):
        super().__init__(max_length=TAGS_MAX, **kwargs)

    def to_internal_value(self, data):
        sent = super().to_internal_value(data)
        words = {unicodedata.normalize("NFC", word).strip().lower() for word in sent}
        # Checked again: some letters become two in lower case, "İ" for example.
        if any(len(word) > TAG_LETTERS_MAX for word in words):
            self.fail("max_length", max_length=TAG_LETTERS_MAX)
        return sorted(words - {""})

    def get_attribute(self, video):
        known = vars(video).get("tag_names")  # videos.reading
        return sorted(tag.name for tag in video.tags.all()) if known is None else known

    def to_representation(self, names):
        return names


class CreatorSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    display_name = serializers.CharField(source="public_name")


class RenditionSerializer(serializers.Serializer):
    name = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    video_bitrate = serializers.IntegerField(
        help_text="Average bits per second of the picture, measured after encoding."
    )
    codecs = serializers.CharField(
        help_text="Codecs of picture and sound, as RFC 6381 spells them."
    )


ProcessingSerializer = inline_serializer(
    "Processing",
    {
        "step": serializers.CharField(allow_null=True),
        "percent": serializers.IntegerField(),
        "attempts": serializers.IntegerField(),
        "queue_position": serializers.IntegerField(allow_null=True),
        "eta_seconds": serializers.IntegerField(
            allow_null=True, help_text="Seconds until the video is READY, as far as that is known."
        ),
        "error": inline_serializer(
            "ProcessingError",
            {"code": serializers.CharField(), "detail": serializers.CharField()},
            allow_null=True,
        ),
        "stage": serializers.ChoiceField(
            choices=["first", "rest", "again"],
            allow_null=True,
            help_text="`first`: the first rendition, which makes the video playable. `rest`: all "
            "renditions. `again`: all renditions, of a video that had them.",
        ),
        "still_to_come": serializers.ListField(
            child=serializers.CharField(),
            help_text="Names of the renditions that are not there yet, the largest first.",
        ),
        "last_line": serializers.CharField(
            allow_null=True,
            help_text="The last line that FFmpeg wrote when it failed, for whoever can read it.",
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
        "notes": serializers.ListField(
            child=serializers.CharField(),
            help_text="What of the file could not be taken over, in words.",
        ),
    },
    allow_null=True,
)

# The name is the example's key in the OpenAPI document, and clients may refer to it.
A_PAID_VIDEO = OpenApiExample(
    "A paid film",
    summary="A paid video",
    value={
        "title": "The harbour at night",
        "description": "Twelve minutes of fog and lights.",
        "is_paid": True,
        "price": "19.99",
        "currency": "USD",
        "category": "documentary",
        "tags": ["fog", "harbour"],
    },
    request_only=True,
)


class VideoSerializer(
    Compiled,
    CompleteErrors,
    PresentedFields,
    PreviewFields,
    AvailabilityFields,
    serializers.ModelSerializer,
):
    """A video. Only its owner and administrators get `processing`, `source`, `deleted_at`, `moderation`
    and `embed_domains`."""

    creator = CreatorSerializer(read_only=True)
    price = MoneyField(required=False)
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    tags = TagsField(required=False)
    playable = serializers.BooleanField(source="is_playable", read_only=True)
    rental_price = MoneyField(
        required=False,
        allow_null=True,
        help_text="Price of renting the video, for paid videos only. Needs `rental_hours`.",
    )
    rental_hours = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=24 * 365,
        help_text="Hours that a rental lasts from the first playback. Needs `rental_price`.",
    )
    renditions = RenditionSerializer(many=True, read_only=True)
    embed_domains = EmbedDomainsField(
        required=False,
        help_text="Sites whose pages may show the player in a frame: host names, `*.example.com` for all"
        " hosts below one, `*` for every site. Empty: the sites of the creator's account.",
    )
    processing = serializers.SerializerMethodField()
    moderation = serializers.SerializerMethodField(
        help_text="Why the video is taken down, and the latest appeal; null for every other video."
    )
    # DRF collects declared fields and removes them from the class, so this hides no Field.source.
    source = serializers.SerializerMethodField()  # type: ignore[assignment]  # see above

    class Meta:
        model = Video
        fields = [
            "id", "title", "description", "creator", "status", "playable", "visibility", "is_paid",
            "price", "currency", "rental_price", "rental_hours", *policy.FIELDS, "category", "tags",
            "duration_seconds", "width", "height", "poster_url", "storyboard_url", "renditions",
            "captions", "chapters", "audio_tracks", "preview_seconds", "trailer", "views", "likes",
            "dislikes", "created_at", "published_at", "processing", "source", "deleted_at", "moderation",
            "embed_domains",
        ]  # fmt: skip
        read_only_fields = [
            "status", "duration_seconds", "width", "height", "views", "likes", "dislikes",
            "created_at", "published_at", "deleted_at",
        ]  # fmt: skip

    # Only the owner and administrators get these (config.api.schema).
    NOT_ALWAYS_SENT: ClassVar[tuple[str, ...]] = (
        "processing", "source", "deleted_at", "moderation", "embed_domains",
    )  # fmt: skip

    def to_representation(self, video):
        return self.represent(
            video, without=() if self._is_insider(video) else self.NOT_ALWAYS_SENT
        )

    def _is_insider(self, video) -> bool:
        user_id, sees_all = self._caller
        return sees_all or video.creator_id == user_id

    @cached_property
    def _caller(self) -> tuple[UUID | None, bool]:
        """The id of the caller, and whether they may see the processing of every video."""
        user = self.context["request"].user
        return user.pk, user.has_perm("videos.view_any_video")

    PRICING = ("is_paid", "price", "currency", "rental_price", "rental_hours")

    def validate(self, attrs):
        return self.with_preview(self._with_pricing(attrs))

    def _with_pricing(self, attrs):
        """Check the dates and countries, and all fields of the price, each together.

        Return all fields of the price as the video will have them.

        A change of one of them is checked against the others as they are stored. A free video loses
        its price and its rental. Raises ValidationError with every field at fault.
        """
        before = self.instance
        errors = self.check_availability(attrs, before)
        if "currency" in self.failed or (before and not attrs.keys() & set(self.PRICING)):
            if errors:
                raise serializers.ValidationError(errors)
            return attrs
        is_paid = attrs.get("is_paid", before.is_paid if before else False)
        currency = attrs.get("currency", before.currency if before else settings.DEFAULT_CURRENCY)
        kept = before if before and before.currency == currency else None
        price = self._minor(attrs, "price", currency, kept, errors) or 0
        rental_price = self._minor(attrs, "rental_price", currency, kept, errors)
        rental_hours = attrs.get("rental_hours", kept.rental_hours if kept else None)
        if is_paid and price == 0:
            errors.setdefault(
                "price", ErrorDetail("A paid video needs a price above zero.", "required")
            )
        if rental_price == 0:
            errors.setdefault(
                "rental_price", ErrorDetail("A rental price must be above zero.", "min_value")
            )
        if (rental_price is None) != (rental_hours is None):
            missing = "rental_hours" if rental_hours is None else "rental_price"
            text = "A rental needs a price and hours. Send both, or null for both."
            errors.setdefault(missing, ErrorDetail(text, "required"))
        sent = {"rental_price", "rental_hours"} & attrs.keys()
        if rental_price and sent and not is_paid and "is_paid" not in self.failed:
            text = "Only a paid video can be rented. Set is_paid, or send no rental."
            errors.setdefault("rental_price", ErrorDetail(text, "invalid"))
        if errors:
            raise serializers.ValidationError(errors)
        return {
            **attrs,
            "is_paid": is_paid,
            "currency": currency,
            "price": price if is_paid else 0,
            "rental_price": rental_price if is_paid else None,
            "rental_hours": rental_hours if is_paid else None,
        }

    @staticmethod
    def _minor(
        attrs, name: str, currency: str, kept: Video | None, errors: dict[str, ErrorDetail]
    ) -> int | None:
        """Return the amount ``name`` in minor units: the sent one, else the stored one of ``kept``.

        ``kept`` is None for a new video and for a changed currency, because the stored amount means
        nothing in another currency. An amount that the currency cannot have, or that is below zero,
        goes into ``errors`` and counts as none.
        """
        if attrs.get(name) is None:
            return None if name in attrs or kept is None else getattr(kept, name)
        try:
            amount = money.to_minor(attrs[name], currency)
        except money.NotMoney as error:
            errors[name] = ErrorDetail(str(error), "invalid")
            return None
        if amount < 0:
            errors[name] = ErrorDetail("A price cannot be negative.", "min_value")
            return None
        return amount

    @extend_schema_field(ProcessingSerializer)
    def get_processing(self, video):
        job = video.job
        if job is None:
            return {
                "step": None, "percent": 0, "attempts": 0, "queue_position": None,
                "eta_seconds": None, "error": None, "stage": None, "still_to_come": [],
                "last_line": None,
            }  # fmt: skip
        is_queued = job.state == ProcessingJob.State.QUEUED
        is_open = is_queued or job.state == ProcessingJob.State.RUNNING
        return {
            "step": "queued" if is_queued else job.step or None,
            "percent": estimates.percent_of(job, video),
            "attempts": job.attempt,
            "queue_position": self._estimates.places.get(job.pk) if is_queued else None,
            "eta_seconds": self._estimates.seconds_left(job, video) if is_open else None,
            "error": {"code": job.error_code, "detail": job.error_detail}
            if job.error_code
            else None,
            "stage": ProcessingJob.Stage(job.stage).name.lower() if is_open else None,
            "still_to_come": estimates.still_to_come(video) if is_open else [],
            # It stays while a later attempt runs, which is compared with it.
            "last_line": (job.last_line or None) if job.error_code else None,
        }

    @extend_schema_field(ModerationSerializer)
    def get_moderation(self, video):
        return standing.of(video)

    @property
    def _estimates(self) -> estimates.Estimates:
        """The estimates of all open jobs; read once for all videos of an answer."""
        shared = cast("dict[str, Any]", self.context)  # by all serializers of the answer
        return shared.setdefault("estimates", estimates.Estimates())

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
            "notes": video.source_notes,
        }


class OwnVideoSerializer(VideoSerializer):
    """A video as its owner and administrators see it, with its processing and its source."""

    NOT_ALWAYS_SENT = ()


class VideoUploadSerializer(VideoSerializer):
    """A new video together with its file, in one request (multipart/form-data)."""

    file = serializers.FileField(write_only=True, required=False)

    class Meta(VideoSerializer.Meta):
        fields = [*VideoSerializer.Meta.fields, "file"]


class ImportSerializer(serializers.Serializer):
    url = serializers.URLField(max_length=2000, help_text="An http or https address of the file.")

    def validate_url(self, value: str) -> str:
        if called_address(value).scheme not in {"http", "https"}:
            raise serializers.ValidationError("Use an http or https address.")
        return value


class FileSerializer(serializers.Serializer):
    file = serializers.FileField()
