from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7
from payments.models import Entitlement
from videos.models import Video


class PlaybackSessionQuerySet(models.QuerySet):
    def running(self, now=None):
        return self.filter(ended_at=None, expires_at__gt=now or timezone.now())


class PlaybackSession(models.Model):
    """One viewer plays one version of one video: one redemption of a stream token.

    It lives until it has ended or expired; the delivery processes read the ended ones every half
    second. What was watched is kept as merged intervals of the video, verified beat by beat.
    """

    class EndReason(models.TextChoices):
        STOPPED = "stopped", "stopped by the viewer"
        IDLE = "idle", "no sign of life"
        REVOKED = "revoked", "the right to watch ended"
        REMOVED = "removed", "the video was deleted"
        DEACTIVATED = "deactivated", "the user was deactivated"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="playback_sessions")
    version = models.CharField(max_length=32)
    access = models.CharField(max_length=12)  # payments.entitlements.Access.kind
    entitlement = models.ForeignKey(
        Entitlement, on_delete=models.SET_NULL, null=True, related_name="playback_sessions"
    )
    # Whom analytics counts: the user, or a keyed hash that changes every day.
    viewer_key = models.CharField(max_length=64)
    user_agent = models.CharField(max_length=500, blank=True)
    network = models.GenericIPAddressField(null=True)  # the prefix, never the whole address
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=12, choices=EndReason, blank=True)

    state = models.CharField(max_length=10, blank=True)
    position_seconds = models.FloatField(default=0)
    watched = models.JSONField(default=list)  # [[from, to], …], merged, in order
    watched_seconds = models.FloatField(default=0)
    rejected_seconds = models.FloatField(default=0)
    # Whole seconds watched at no more than the speed of the clock, and how many of them the
    # daily watch time has taken over.
    clocked_seconds = models.PositiveIntegerField(default=0)
    folded_seconds = models.PositiveIntegerField(default=0)
    last_heartbeat_at = models.DateTimeField(null=True)
    rebuffer_ms = models.PositiveBigIntegerField(default=0)
    startup_ms = models.PositiveBigIntegerField(null=True)

    objects = PlaybackSessionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="session_end_has_reason",
                condition=Q(ended_at__isnull=True, end_reason="")
                | (Q(ended_at__isnull=False) & ~Q(end_reason="")),
            ),
        ]
        indexes = [
            # The snapshot of the delivery processes: what has ended lately.
            models.Index(
                fields=["ended_at"], name="session_ended", condition=Q(ended_at__isnull=False)
            ),
            # Ending what rests on a right, a user, a video.
            models.Index(fields=["user"], name="session_of_user", condition=Q(ended_at=None)),
            models.Index(
                fields=["entitlement"], name="session_of_right", condition=Q(ended_at=None)
            ),
            # Sweeping the idle ones.
            models.Index(fields=["last_seen_at"], name="session_idle", condition=Q(ended_at=None)),
            # Watch time that is still to be taken over.
            models.Index(
                fields=["last_heartbeat_at"],
                name="session_to_fold",
                condition=Q(clocked_seconds__gt=models.F("folded_seconds"), user__isnull=False),
            ),
            # Watch time of a video over a time.
            models.Index(fields=["video", "created_at"], name="session_of_video"),
        ]

    def __str__(self):
        return f"{self.viewer_key[:12]} plays {self.video_id}"

    @property
    def counts(self) -> bool:
        """Owner and moderator playback is no view, no watch time, no money."""
        return self.access not in {"owner", "admin"}
