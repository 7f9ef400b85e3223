"""The fields of uploads in the API."""

from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from videos.models import Upload, Video
from videos.services import direct


class PartSerializer(serializers.Serializer):
    """A part of a direct upload: with its address, or with what the bucket has of it."""

    number = serializers.IntegerField(min_value=1, max_value=direct.PARTS_MAX)
    size = serializers.IntegerField(min_value=1)
    etag = serializers.CharField(
        allow_null=True, help_text="What the bucket calls its content, once it is there."
    )
    url = serializers.URLField(
        allow_null=True, help_text="PUT exactly `size` bytes to it, without an Authorization."
    )


class DirectSerializer(serializers.Serializer):
    part_size = serializers.IntegerField(min_value=1, help_text="Of all parts but the last one.")
    part_count = serializers.IntegerField(min_value=1)
    parts = PartSerializer(many=True)
    urls_expire_at = serializers.DateTimeField(allow_null=True)


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """An upload, and what became of it.

    For a direct one the ``pieces`` in the context, and ``until`` when their addresses are good.
    """

    error = serializers.SerializerMethodField()
    direct = serializers.SerializerMethodField()

    class Meta:
        model = Upload
        fields = [
            "id", "kind", "state", "offset", "length", "filename", "video_id", "error", "created_at",
            "expires_at", "direct",
        ]  # fmt: skip

    def get_error(self, upload: Upload) -> dict[str, str] | None:
        if not upload.error_code:
            return None
        return {"code": upload.error_code, "detail": upload.error_detail}

    @extend_schema_field(DirectSerializer(allow_null=True))
    def get_direct(self, upload: Upload) -> dict[str, Any] | None:
        if upload.kind != Upload.Kind.DIRECT:
            return None
        context = cast("dict[str, Any]", self.context)
        facts = {
            "part_size": upload.part_size,
            "part_count": direct.part_count(upload),
            "parts": context.get("pieces", ()),
            "urls_expire_at": context.get("until"),
        }
        return cast("dict[str, Any]", DirectSerializer(facts).data)


class NewDirectUploadSerializer(serializers.ModelSerializer[Video]):
    """A file that is to be sent to the bucket: for the video ``video_id``, or for a new one."""

    filename = serializers.CharField(max_length=255)
    length = serializers.IntegerField(min_value=0, help_text="Bytes of the whole file.")
    title = serializers.CharField(
        max_length=200, required=False, help_text="Of the new video. Without it: the file's name."
    )
    video_id = serializers.UUIDField(
        required=False, help_text="The video whose file is replaced, instead of a new one."
    )

    class Meta:
        model = Video
        fields = ["filename", "length", "title", "video_id"]


class PartNumbersSerializer(serializers.Serializer):
    numbers = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=direct.PARTS_MAX),
        min_length=1,
        max_length=direct.SIGNED_AT_ONCE,
    )


class SentPartSerializer(serializers.Serializer):
    number = serializers.IntegerField(min_value=1, max_value=direct.PARTS_MAX)
    etag = serializers.CharField(
        max_length=200, help_text="The `ETag` of the bucket's answer to the PUT."
    )


class SentPartsSerializer(serializers.Serializer):
    parts = serializers.ListField(
        child=SentPartSerializer(), allow_empty=False, max_length=direct.PARTS_MAX
    )
