"""The domains whose pages may show a video in a frame."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from videos.models import Video


class Embeddable(models.Model):
    """What a video says about frames of other sites. Empty: the rule of its creator holds."""

    embed_domains = models.JSONField(
        "sites that may embed it",
        default=list,
        blank=True,
        help_text="Host names; *.example.com for all hosts below one; * for every site.",
    )

    class Meta:
        abstract = True


def domains_of(video: "Video") -> list[str]:
    """Return the domains that may show the video in a frame: its own, else those of its creator."""
    return list(video.embed_domains or video.creator.embed_domains)
