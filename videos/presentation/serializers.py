import math
from itertools import pairwise

from rest_framework import serializers
from rest_framework.reverse import reverse

from config.api.fields import BoundedListField
from config.api.serializers import CompleteErrors
from config.texts import validate_name
from videos.presentation.cues import MOST_BYTES, MOST_SECONDS, Cue, NotCaptions, parse, read
from videos.presentation.models import Caption
from videos.presentation.posters import MOST_BYTES as MOST_IMAGE_BYTES
from videos.processing.extras import MOST_CHAPTERS, TITLE_LETTERS
from videos.processing.languages import standard_tag


class LanguageField(serializers.CharField):
    """A language tag of BCP 47, in the form that the standard recommends ("pt-BR")."""

    default_error_messages = {
        "invalid_language": (
            "This is no language tag of BCP 47. Send one like en, pt-BR or zh-Hant."
        ),
    }

    def __init__(self, **kwargs):
        super().__init__(max_length=60, **kwargs)

    def to_internal_value(self, data):
        tag = super().to_internal_value(data)
        return standard_tag(tag) or self.fail("invalid_language")


class CaptionSerializer(CompleteErrors, serializers.ModelSerializer):
    """A text track of a video. Its text is at `url`, which needs the same access as playback."""

    language = LanguageField(help_text="A tag of BCP 47, such as `en` or `pt-BR`.")
    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes it from the class
        required=False,
        max_length=80,
        validators=[validate_name],
        help_text="What players show. Without it, the language's own name.",
    )
    url = serializers.SerializerMethodField()
    cues = serializers.IntegerField(read_only=True, help_text="Texts that are shown one by one.")
    file = serializers.FileField(
        write_only=True, required=False, help_text="WebVTT or SubRip (SRT), at most 1 MB."
    )
    text = serializers.CharField(
        write_only=True,
        required=False,
        trim_whitespace=False,
        max_length=MOST_BYTES,
        help_text="The same as `file`, as a text.",
    )

    class Meta:
        model = Caption
        fields = [
            "id", "language", "label", "kind", "is_forced", "is_sdh", "is_default", "is_automatic",
            "origin", "cues", "url", "created_at", "updated_at", "file", "text",
        ]  # fmt: skip
        read_only_fields = ["is_automatic", "origin", "created_at", "updated_at"]
        # A default is moved from one caption to another by the service; see ``captioning``.
        validators: list[object] = []

    def get_url(self, caption) -> str:
        return reverse(
            "caption-text", args=[caption.video_id, caption.pk], request=self.context["request"]
        )

    def validate(self, attrs):
        """Read the cues from ``file`` or ``text``. A new caption needs one of them, and never both."""
        sent = [name for name in ("file", "text") if name in attrs]
        if len(sent) == 2:
            raise serializers.ValidationError({"text": "Send either file or text."})
        if not sent and self.instance is None and not self.failed & {"file", "text"}:
            raise serializers.ValidationError(
                {"file": "Send the captions as file or as text."}, code="required"
            )
        attrs = dict(attrs)
        for name in sent:
            given = attrs.pop(name)
            try:
                attrs["cues"] = parse(given) if name == "text" else _read(given)
            except NotCaptions as error:
                raise refusal(error, name) from None
        return attrs


def refusal(error: NotCaptions, field: str) -> serializers.ValidationError:
    return serializers.ValidationError({field: str(error)}, code="invalid")


def _read(file) -> list[Cue]:
    if file.size > MOST_BYTES:
        raise NotCaptions(f"The file has more than {MOST_BYTES} bytes. Split it.")
    return read(file.read())


class PosterSerializer(serializers.Serializer):
    """A moment of the video, or an image."""

    at_seconds = serializers.FloatField(required=False, min_value=0, max_value=MOST_SECONDS)
    file = serializers.FileField(
        required=False, help_text="JPEG, PNG or WebP, at most 5 MiB and 50 million pixels."
    )

    def validate_at_seconds(self, value):
        seconds = self.context["video"].duration_seconds
        if not math.isfinite(value) or (seconds is not None and value >= seconds):
            raise serializers.ValidationError(
                f"The video lasts {seconds or 0:.1f} seconds. Send a time before its end."
            )
        return value

    def validate_file(self, file):
        if file.size > MOST_IMAGE_BYTES:
            raise serializers.ValidationError(
                f"The image has more than {MOST_IMAGE_BYTES} bytes. Send a smaller one."
            )
        return file

    def validate(self, attrs):
        if len(attrs) != 1:
            raise serializers.ValidationError(
                {"at_seconds": "Send either at_seconds or an image as file."}, code="invalid"
            )
        return attrs


class ChapterSerializer(serializers.Serializer):
    """A part of a video: where it begins, and its title. It lasts until the next one begins."""

    start_seconds = serializers.FloatField(min_value=0, max_value=MOST_SECONDS)
    title = serializers.CharField(max_length=TITLE_LETTERS, validators=[validate_name])


class ChaptersField(BoundedListField):
    child = ChapterSerializer()

    def __init__(self, **kwargs):
        super().__init__(max_length=MOST_CHAPTERS, **kwargs)


def read_chapters(data: object, *, seconds: float | None) -> list[dict[str, object]]:
    """Return the chapters of a request's body: in order, each at its own time, inside of the video.

    Raises ValidationError.
    """
    found = ChaptersField().run_validation(data)
    chapters = [
        {"start_seconds": round(each["start_seconds"], 3), "title": each["title"]} for each in found
    ]
    for before, chapter in pairwise(chapters):
        if chapter["start_seconds"] <= before["start_seconds"]:
            raise serializers.ValidationError(
                f"The chapter at {chapter['start_seconds']} s follows one at "
                f"{before['start_seconds']} s. Send chapters in their order, each at its own time."
            )
    if seconds is not None and chapters and chapters[-1]["start_seconds"] >= seconds:
        raise serializers.ValidationError(
            f"The chapter at {chapters[-1]['start_seconds']} s begins after the end of the video, "
            f"which lasts {seconds:.1f} s."
        )
    return chapters
