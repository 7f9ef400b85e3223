"""The tables of moderation."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7

TEXT_MAX = 2000  # letters of a report, a note or an appeal


class Reason(models.TextChoices):
    """Why a video is reported, why it is taken down, and why a creator is suspended."""

    ILLEGAL = "illegal", "illegal content"
    COPYRIGHT = "copyright", "infringes a copyright"
    VIOLENCE = "violence", "violence"
    SEXUAL = "sexual", "sexual content"
    SPAM = "spam", "spam"
    MISLEADING = "misleading", "misleading title or description"
    OTHER = "other", "another reason"


class ModerationCase(models.Model):
    """What viewers have reported of one video until a moderator decides, and the decision.

    Reports are folded: a video has at most one open case, and each report of a user joins it. The
    decision changes the status once; each change names the status that it expects. ``reason`` and
    ``note`` are told to the creator when the case is WARNED or TAKEN_DOWN. Invariants, held by the
    database: one OPEN and one TAKEN_DOWN case for a video at most; an OPEN case has no decision.
    """

    class Status(models.TextChoices):
        OPEN = "open", "waiting for a decision"
        DISMISSED = "dismissed", "dismissed"
        WARNED = "warned", "creator warned"
        TAKEN_DOWN = "taken_down", "taken down"
        RESTORED = "restored", "restored after a take-down"
        MOOT = "moot", "video deleted before a decision"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    video = models.ForeignKey("videos.Video", on_delete=models.CASCADE, related_name="cases")
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    reason = models.CharField(max_length=12, choices=Reason, blank=True)
    note = models.TextField(max_length=TEXT_MAX, blank=True)
    opened_at = models.DateTimeField("waiting since (UTC)", default=timezone.now)
    decided_at = models.DateTimeField("decided (UTC)", null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    restored_at = models.DateTimeField("restored (UTC)", null=True)

    class Meta:
        verbose_name = "reported video"
        permissions = [
            ("moderate_video", "Can decide about reported videos, watch them, and suspend creators")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["video"], name="case_one_open_per_video", condition=Q(status="open")
            ),
            models.UniqueConstraint(
                fields=["video"], name="case_one_taken_down", condition=Q(status="taken_down")
            ),
            models.CheckConstraint(
                name="case_decision_is_whole",
                condition=Q(status="open", decided_at=None, decided_by=None)
                | (~Q(status="open") & Q(decided_at__isnull=False)),
            ),
        ]
        indexes = [
            # The queue.
            models.Index(fields=["opened_at"], name="case_open", condition=Q(status="open")),
        ]

    def __str__(self):
        return f"{self.video} ({self.get_status_display()})"


class Report(models.Model):
    """What one user says against a video: a reason, and words. One of each user in a case."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    case = models.ForeignKey(ModerationCase, on_delete=models.CASCADE, related_name="reports")
    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=12, choices=Reason)
    detail = models.TextField(max_length=TEXT_MAX, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "reporter"], name="report_once_per_person"),
        ]

    def __str__(self):
        return f"report {self.pk}"


class Appeal(models.Model):
    """A creator's objection to the take-down of their video, and the answer to it.

    A take-down has one OPEN appeal at most (held by the database), and `appealing.APPEALS_MAX` in all.
    """

    class Status(models.TextChoices):
        OPEN = "open", "waiting for a decision"
        GRANTED = "granted", "granted: the video was restored"
        REJECTED = "rejected", "rejected"
        MOOT = "moot", "video deleted before a decision"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    case = models.ForeignKey(ModerationCase, on_delete=models.CASCADE, related_name="appeals")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    detail = models.TextField(max_length=TEXT_MAX)
    answer = models.TextField(max_length=TEXT_MAX, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["case"], name="appeal_one_open_per_case", condition=Q(status="open")
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], name="appeal_open", condition=Q(status="open")),
        ]

    def __str__(self):
        return f"appeal {self.pk}"


class Suspension(models.Model):
    """A time in which the videos of a creator are out of the shop. It lasts until ``lifted_at``.

    As long as it lasts, `User.suspended_at` is set, which every query of the catalogue reads.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="suspensions"
    )
    reason = models.CharField(max_length=12, choices=Reason)
    note = models.TextField(max_length=TEXT_MAX, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["creator"], name="suspension_one_at_a_time", condition=Q(lifted_at=None)
            ),
        ]

    def __str__(self):
        return f"suspension of {self.creator_id}"
