from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7
from videos.models import Video


class EntitlementQuerySet(models.QuerySet["Entitlement"]):
    def live(self, now: datetime | None = None) -> Self:
        """Return the entitlements that give access at ``now`` (default: the present moment).

        An entitlement ends when its time has passed. No job has to end it. It counts as soon as it is
        there, because the clocks of two hosts may differ.
        """
        now = now or timezone.now()
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=now), revoked_at=None)


class Entitlement(models.Model):
    """The row that lets one user watch one video, or every video when ``video`` is empty.

    Each order and each subscription (the source) has at most one.
    """

    class Source(models.TextChoices):
        ORDER = "order", "bought"
        SUBSCRIPTION = "subscription", "subscribed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="entitlements"
    )
    video = models.ForeignKey(
        Video, on_delete=models.PROTECT, null=True, related_name="entitlements"
    )
    source_type = models.CharField(max_length=12, choices=Source)
    source_id = models.UUIDField()
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    # The hours of a rental run from its first play. Until then ends_at is the last moment to start it.
    rental_hours = models.PositiveIntegerField(null=True)
    begun_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(
        null=True,
        help_text="When the audit log got the entry that its time is over. Access needs no job to end.",
    )

    objects = EntitlementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source_type", "source_id"], name="entitlement_once_per_source"
            ),
        ]
        indexes = [
            # For `can_watch`: the entitlements of one user to one video.
            models.Index(
                fields=["user", "video"], name="entitlement_live", condition=Q(revoked_at=None)
            ),
            # payments.services.access.record_expired
            models.Index(
                fields=["ends_at"],
                name="entitlement_to_expire",
                condition=Q(revoked_at=None, expired_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} may watch {self.video_id or 'everything'} ({self.source_type})"
