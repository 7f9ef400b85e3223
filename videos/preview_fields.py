"""The fields of a video for those who may not watch it: preview and trailer."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

SECONDS_MAX = 24 * 3600


class PreviewFields(serializers.Serializer[Any]):
    """The preview and the trailer of a video."""

    preview_seconds = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=SECONDS_MAX,
        help_text="Seconds from the beginning of a paid video that everyone who sees it may play. "
        "Must be shorter than the video. Null or 0: no preview.",
    )
    trailer = serializers.UUIDField(
        source="trailer_id",
        required=False,
        allow_null=True,
        help_text="The id of another video of the same creator, which is free and not private. Becomes "
        "null when that video is deleted, private or paid.",
    )

    def with_preview(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the preview together with the price and the length, and return the fields.

        Raises ValidationError.
        """
        before: Any = self.instance
        if "preview_seconds" not in attrs:
            return attrs
        is_paid = attrs.get("is_paid", before.is_paid if before else False)
        seconds = attrs["preview_seconds"] or None
        length = before.duration_seconds if before else None
        failed: frozenset[str] = getattr(self, "failed", frozenset())
        if seconds and not is_paid and "is_paid" not in failed:
            text = "Only a paid video has a preview. Set is_paid, or send null."
            raise serializers.ValidationError({"preview_seconds": ErrorDetail(text, "invalid")})
        if seconds and length is not None and seconds >= length:
            text = f"A preview must be shorter than the video, which lasts {length:g} seconds."
            raise serializers.ValidationError({"preview_seconds": ErrorDetail(text, "max_value")})
        return {**attrs, "preview_seconds": seconds}
