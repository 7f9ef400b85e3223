from django.conf import settings
from django.db import models
from django.utils import timezone

from config.ids import uuid7
from streaming.models import PlaybackSession
from videos.models import Video


class VideoView(models.Model):
    """A view: a session's first moment with enough watched seconds (`analytics.ingest`)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # One view a session, whatever happens.
    session = models.OneToOneField(PlaybackSession, on_delete=models.CASCADE, related_name="view")
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="counted_views")
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    viewer_key = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions = [
            ("view_own_analytics", "Can see the analytics of their own videos"),
            ("view_platform_analytics", "Can see the analytics of the platform"),
        ]
        indexes = [
            # Did this viewer view this video lately?
            models.Index(fields=["video", "viewer_key", "-at"], name="view_of_viewer"),
            # Dashboards of a video, a creator, the platform.
            models.Index(fields=["video", "at"], name="view_of_video"),
            models.Index(fields=["creator", "at"], name="view_of_creator"),
            models.Index(fields=["at"], name="view_at"),
        ]

    def __str__(self):
        return f"view of {self.video_id} at {self.at:%Y-%m-%d %H:%M}"


class Reaction(models.Model):
    """What somebody thinks of a video: one of two things, and only one."""

    class Value(models.TextChoices):
        LIKE = "like", "like"
        DISLIKE = "dislike", "dislike"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="reactions")
    value = models.CharField(max_length=8, choices=Value)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "video"], name="reaction_once")]
        indexes = [models.Index(fields=["video", "at"], name="reaction_of_video")]

    def __str__(self):
        return f"{self.value} of {self.video_id}"
