"""The tables of views and reactions."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from analytics.rollups.models import Rollup as Rollup  # models of this app, as the next
from analytics.rollups.models import RollupDay as RollupDay
from analytics.rollups.models import RollupMonth as RollupMonth
from analytics.rollups.models import ViewerNumber as ViewerNumber
from config.ids import uuid7
from streaming.models import PlaybackSession
from videos.models import Video


class VideoView(models.Model):
    """One view: a session that has played enough of a video (see ``analytics.counting``)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # One-to-one, so that the database refuses a second view of the same session.
    session = models.OneToOneField(PlaybackSession, on_delete=models.CASCADE, related_name="view")
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="counted_views")
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The video's creator, copied so that a dashboard needs no join.",
    )
    viewer_key = models.CharField(
        max_length=64,
        help_text="The user's id, or for an anonymous viewer a keyed hash that changes every day.",
    )
    network_key = models.CharField(
        max_length=40,
        blank=True,
        help_text="A keyed hash of the viewer's own network and of the day: bounds its views.",
    )
    at = models.DateTimeField("counted at", default=timezone.now)

    class Meta:
        permissions = [
            ("view_own_analytics", "Can see the analytics of their own videos"),
            ("view_platform_analytics", "Can see the analytics of the platform"),
        ]
        indexes = [
            # Counting a view asks whether the viewer viewed the video in the last half hour.
            models.Index(fields=["video", "viewer_key", "-at"], name="view_of_viewer"),
            # Counting a view asks how often the network viewed the video on this day.
            models.Index(fields=["video", "network_key"], name="view_of_network"),
            # The dashboards of a video, of a creator and of the platform, over a period.
            models.Index(fields=["video", "at"], name="view_of_video"),
            models.Index(fields=["creator", "at"], name="view_of_creator"),
            models.Index(fields=["at"], name="view_at"),
        ]

    def __str__(self) -> str:
        return f"view of {self.video_id} at {self.at:%Y-%m-%d %H:%M} UTC"


class Reaction(models.Model):
    """A user's like or dislike of a video; each user has at most one for each video."""

    class Value(models.TextChoices):
        LIKE = "like", "like"
        DISLIKE = "dislike", "dislike"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="reactions")
    value = models.CharField("reaction", max_length=8, choices=Value)
    at = models.DateTimeField("given at", default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "video"], name="reaction_once")]
        # Reports count the reactions of a video over a period.
        indexes = [models.Index(fields=["video", "at"], name="reaction_of_video")]

    def __str__(self) -> str:
        return f"{self.value} of {self.video_id}"
