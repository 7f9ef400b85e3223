"""The table of playback sessions."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7
from payments.models import Entitlement
from streaming import devices
from videos.models import Video

# Those who may watch a video whatever its owner decides, and without paying.
INSIDERS = ("owner", "admin", "moderator")
PREVIEW = "preview"  # the access of a viewer who may see the video, but not watch it
# Playback with these reasons for access is no view, earns nothing and is in no figure.
UNCOUNTED = (*INSIDERS, PREVIEW)
# Playback with these reasons ends with the video's ``available_until``. Buyers keep what they bought.
LOSES_ENDED = ("free", "subscription", PREVIEW)


class PlaybackSessionQuerySet(models.QuerySet["PlaybackSession"]):
    """Playback sessions, filtered by their state."""

    def running(self, now: datetime | None = None) -> "PlaybackSessionQuerySet":
        """Return the sessions that have neither ended nor expired at ``now``."""
        return self.filter(ended_at=None, expires_at__gt=now or timezone.now())


class PlaybackSession(models.Model):
    """One viewer playing one version of one video, started by one stream token.

    A session runs until it is ended (``ended_at``) or expires (``expires_at``). The delivery
    processes read the ended sessions five times a second. ``watched`` holds the seconds of the video
    that heartbeats reported and that the clock allows.
    """

    class EndReason(models.TextChoices):
        STOPPED = "stopped", "stopped by the viewer"
        IDLE = "idle", "idle for too long"
        REVOKED = "revoked", "the entitlement was revoked"
        REMOVED = "removed", "the video was deleted"
        RESTRICTED = "restricted", "the video is no longer open to the viewer"
        DEACTIVATED = "deactivated", "the user was deactivated"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="Empty for an anonymous viewer.",
    )
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="playback_sessions")
    version = models.CharField(
        max_length=32, help_text="The video's version when the session started."
    )
    access = models.CharField(
        max_length=12,
        help_text="The reason for access: free, owner, admin, moderator, order, subscription or "
        "preview.",
    )
    entitlement = models.ForeignKey(
        Entitlement,
        on_delete=models.SET_NULL,
        null=True,
        related_name="playback_sessions",
        help_text="The entitlement that gives access. Revoking it ends the session.",
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
    user_agent = models.CharField(max_length=500, blank=True)
    network = models.GenericIPAddressField(
        null=True,
        help_text="The first address of the viewer's network, until a month after the session's end.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        help_text="The end of the grant, or of the access if that is earlier."
    )
    last_seen_at = models.DateTimeField(
        default=timezone.now, help_text="The latest heartbeat or request for a media file."
    )
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=12, choices=EndReason, blank=True)

    state = models.CharField(
        max_length=10, blank=True, help_text="The player's state in the latest heartbeat."
    )
    position_seconds = models.FloatField(
        default=0, help_text="The position in the video in the latest heartbeat."
    )
    watched = models.JSONField(
        default=list, help_text="[from, to] in seconds of the video, ascending, without overlap."
    )
    watched_seconds = models.FloatField(
        default=0, help_text="Different seconds of the video that were played: the sum of watched."
    )
    rejected_seconds = models.FloatField(
        default=0, help_text="Reported seconds that the clock or the video's length does not allow."
    )
    segment_seconds = models.FloatField(
        default=4.0, help_text="The average length of the version's segments."
    )
    delivered = models.BinaryField(
        default=b"", help_text="The segments that were sent: bit n stands for segment n."
    )
    begun = models.BinaryField(
        default=b"",
        help_text="The segments that were sent in part: bit n stands for segment n.",
    )
    delivered_seconds = models.PositiveIntegerField(
        default=0, help_text="Seconds of the video that were sent: the sum of delivered."
    )
    counted_seconds = models.FloatField(
        default=0,
        help_text="Watched seconds that count: at most the seconds since the start, and the delivered.",
    )
    folded_seconds = models.PositiveIntegerField(
        default=0, help_text="Counted seconds that the daily watch time contains already."
    )
    moments = models.JSONField(
        default=list,
        help_text="When the seconds that earn were played, until the daily watch time contains them:"
        " [from, to] in milliseconds since 1970, ascending, without overlap.",
    )
    placed_until = models.BigIntegerField(
        default=0, help_text="The end of the latest moments, in milliseconds since 1970."
    )
    last_heartbeat_at = models.DateTimeField(null=True)
    rebuffer_ms = models.PositiveBigIntegerField(
        default=0, help_text="Milliseconds of stalling, reported by the player."
    )
    startup_ms = models.PositiveBigIntegerField(
        null=True, help_text="Milliseconds to the first picture, reported by the player."
    )

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
            # The revocation snapshot asks for the sessions that ended lately.
            models.Index(
                fields=["ended_at"], name="session_ended", condition=Q(ended_at__isnull=False)
            ),
            # The worker forgets the devices of old sessions (streaming.forgetting).
            models.Index(
                fields=["ended_at"],
                name="session_to_forget",
                condition=Q(ended_at__isnull=False, network__isnull=False),
            ),
            # Deactivating a user or revoking an entitlement ends its running sessions.
            models.Index(fields=["user"], name="session_of_user", condition=Q(ended_at=None)),
            models.Index(
                fields=["entitlement"], name="session_of_right", condition=Q(ended_at=None)
            ),
            # The worker ends idle sessions every minute.
            models.Index(fields=["last_seen_at"], name="session_idle", condition=Q(ended_at=None)),
            # The worker adds new watch time to the daily watch time every minute.
            models.Index(
                fields=["last_heartbeat_at"],
                name="session_to_fold",
                condition=Q(
                    counted_seconds__gte=models.F("folded_seconds") + 1, user__isnull=False
                ),
            ),
            # Reports sum the sessions of a video over a period; deletion ends those that run.
            models.Index(fields=["video", "created_at"], name="session_of_video"),
            # Reports of the platform sum all sessions of a period.
            models.Index(fields=["created_at"], name="session_created"),
        ]

    def __str__(self) -> str:
        return f"{self.viewer_key[:12]} plays {self.video_id}"

    @property
    def device_name(self) -> str:
        """The viewer's device in words, as its user agent claims."""
        return devices.name_of(self.user_agent)

    @property
    def counts(self) -> bool:
        """Whether the session makes a view and watch time.

        Playback by the video's owner or an administrator makes neither, and neither does a preview, so
        it earns no money.
        """
        return self.access not in UNCOUNTED

    @property
    def earns(self) -> bool:
        """Whether the session's watch time has a weight in the pool."""
        return self.access == "subscription"


class WatchClock(models.Model):
    """The moments of one user's clock that a session has taken, so that no other one earns them too.

    ``taken`` holds [from, to] in milliseconds since 1970, ascending, without overlap. Gaps that are long
    past are closed.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    taken = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"clock of {self.user_id}"
