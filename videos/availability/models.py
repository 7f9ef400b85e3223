"""The columns of a video that say when and where it may be watched."""

from django.db import models


class Availability(models.Model):
    """The dates and countries of a video.

    Empty means: from its publication on, without an end, everywhere.
    Only one of the two lists of countries has codes (ISO 3166-1 alpha-2, in capital letters).
    """

    publish_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="From when the video can be watched. Until then it is shown as coming.",
    )
    available_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it ends for everybody who has not bought or rented it.",
    )
    allowed_countries = models.JSONField(
        default=list, blank=True, help_text="The only countries in which it can be watched."
    )
    refused_countries = models.JSONField(
        default=list, blank=True, help_text="The countries in which it cannot be watched."
    )
    is_preorder = models.BooleanField(
        "can be pre-ordered", default=False, help_text="Whether it is sold before publish_at."
    )

    class Meta:
        abstract = True

    @property
    def has_countries(self) -> bool:
        """Whether it depends on the viewer's country if the video may be watched."""
        return bool(self.allowed_countries or self.refused_countries)
