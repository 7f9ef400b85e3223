"""The tables of roll-ups. Days and months are those in UTC; days are cut at quarter hours."""

from django.db import models


class RollupDay(models.Model):
    """Whether the playback of one day is in the roll-ups.

    Reports read the roll-ups of a folded day, and the raw rows of any other. ``changes`` grows with each
    raw row that is added to the day too late, so that a worker that was adding it up notices.
    """

    day = models.DateField(primary_key=True)
    folded_at = models.DateTimeField(
        "in the roll-ups since", null=True, help_text="Empty while reports read the raw rows."
    )
    pruned_at = models.DateTimeField(
        "pruned since", null=True, help_text="From then on, only the roll-ups tell of the day."
    )
    changes = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField(
        null=True, help_text="When a worker began to add the day up; another may after a while."
    )

    compared_at = models.DateTimeField(
        null=True, help_text="When `rebuild_rollups` last recomputed the day from the raw rows."
    )
    in_month = models.BooleanField(
        "in its month",
        default=False,
        help_text="Whether the roll-ups of the month have those of this day as they are now.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="rollup_pruned_is_folded",
                condition=models.Q(pruned_at=None) | models.Q(folded_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.day}"


class Rollup(models.Model):
    """The views and the playback of one day: of all videos, of a creator's videos, or of one video.

    It has no foreign key, so that it outlives what it tells of, and it holds no viewer's id: viewers are
    numbers, and only the sizes of their sets are ever shown.
    """

    class Kind(models.TextChoices):
        ALL = "all", "all videos"
        CREATOR = "creator", "a creator's videos"
        VIDEO = "video", "a video"

    day = models.DateField()
    kind = models.CharField(max_length=7, choices=Kind)
    ref = models.UUIDField(help_text="The id of the creator or of the video; zeros for all videos.")
    creator = models.UUIDField(null=True, help_text="The creator of a video.")
    views = models.PositiveIntegerField()
    sessions = models.PositiveIntegerField()
    watch_ms = models.PositiveBigIntegerField(help_text="Watched and delivered milliseconds.")
    viewers = models.BinaryField(help_text="The set of the numbers of those who made the views.")
    sources = models.JSONField(help_text="Playback by access: see analytics.rollups.cells.")
    cells = models.BinaryField(help_text="The same by quarter hour: see analytics.rollups.cells.")
    retention = models.JSONField(
        null=True, help_text="Of a video: its length, then the sessions that played each part."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "ref", "day"], name="rollup_once"),
        ]
        indexes = [
            # The worker replaces a day; the platform's report reads all videos of a period.
            models.Index(fields=["day", "kind"], name="rollup_of_day"),
            # A creator's report reads the creator's videos.
            models.Index(
                fields=["creator", "day"],
                name="rollup_of_creators_video",
                condition=models.Q(creator__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref} on {self.day}"


class RollupMonth(models.Model):
    """The views and the playback of one month: of a creator's videos, or of one video.

    It is the sum of the roll-ups of the month's days, and is read in their place as long as each of them
    is `RollupDay.in_month`.
    """

    month = models.DateField(help_text="Its first day.")
    kind = models.CharField(
        max_length=7, choices=[each for each in Rollup.Kind.choices if each[0] != "all"]
    )
    ref = models.UUIDField(help_text="The id of the creator or of the video.")
    creator = models.UUIDField(help_text="The creator, or the creator of the video.")
    views = models.PositiveIntegerField()
    sessions = models.PositiveIntegerField()
    watch_ms = models.PositiveBigIntegerField(help_text="Watched and delivered milliseconds.")
    viewers = models.BinaryField(help_text="The set of the numbers of those who made the views.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["month", "kind", "ref", "creator"], name="rollup_month_once"
            ),
        ]
        # A creator's report reads the creator's videos.
        indexes = [models.Index(fields=["creator", "kind", "month"], name="rollup_month_of")]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref} in {self.month:%Y-%m}"


class ViewerNumber(models.Model):
    """The number that stands for a viewer's key in the sets of roll-ups: a set of numbers is small."""

    id = models.AutoField(primary_key=True)
    viewer_key = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return f"{self.pk}"
