"""What those who may not watch a video get of it: a preview, which is its beginning, and a trailer."""

from django.db import models
from django.db.models import Q


class Previewed(models.Model):
    """A video's preview and trailer, as its owner has set them.

    Invariants, held by the database: only a paid video has a preview, and no video is its own trailer.
    """

    preview_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Seconds from the beginning that play for everyone who may see the video.",
    )
    trailer = models.ForeignKey(
        "videos.Video",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="trailer_of",
        help_text="Another video of the same creator, which is free and not private.",
    )

    class Meta:
        abstract = True

    @property
    def offered_preview(self) -> int | None:
        """The seconds of the preview that plays now; None without one.

        A file that is not longer than the preview was uploaded later: it has none, instead of playing as
        a whole.
        """
        seconds, length = self.preview_seconds, self.duration_seconds  # type: ignore[attr-defined]
        if not seconds or not self.is_paid:  # type: ignore[attr-defined]
            return None
        return seconds if length is None or seconds < length else None


CONSTRAINTS = (
    models.CheckConstraint(
        name="video_preview_is_of_paid",
        condition=Q(preview_seconds__isnull=True) | Q(preview_seconds__gt=0, is_paid=True),
    ),
    models.CheckConstraint(
        name="video_is_not_its_trailer",
        condition=Q(trailer__isnull=True) | ~Q(trailer=models.F("id")),
    ),
)
