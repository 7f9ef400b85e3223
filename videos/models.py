from pathlib import Path

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config import money
from config.ids import uuid7
from videos.querysets import ProcessingJobQuerySet, VideoQuerySet


class Tag(models.Model):
    """A word that videos are filed under, in lower case."""

    name = models.CharField(max_length=40, unique=True)

    def __str__(self):
        return self.name


class Video(models.Model):
    """A video in the catalogue.

    Invariants, held by the database:

    * a paid video has a positive price, and a free one none;
    * a rental price comes with its hours, and for paid videos only;
    * a READY video can be played, and a video that can be played was published;
    * a video without a file is CREATED, and one with a file is not.
    """

    class Status(models.TextChoices):
        CREATED = "CREATED", "no file yet"
        UPLOADED = "UPLOADED", "waiting to be processed"
        PROCESSING = "PROCESSING", "being processed"
        READY = "READY", "ready"
        FAILED = "FAILED", "processing failed"

    class Visibility(models.TextChoices):
        PUBLIC = "public", "in the catalogue"
        UNLISTED = "unlisted", "by link only"
        PRIVATE = "private", "owner and administrators"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="videos"
    )
    title = models.CharField(max_length=200)
    description = models.TextField(max_length=10_000, blank=True)
    category = models.CharField(max_length=60, blank=True)
    tags = models.ManyToManyField(Tag, blank=True, related_name="videos")
    status = models.CharField(max_length=12, choices=Status, default=Status.CREATED)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)

    is_paid = models.BooleanField(default=False)
    price = models.BigIntegerField(
        "price in minor units", default=0, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(max_length=3, default="USD")
    # A paid video may also be rented: for so many hours from the first play.
    rental_price = models.BigIntegerField("rental price in minor units", null=True, blank=True)
    rental_hours = models.PositiveIntegerField(null=True, blank=True)

    # The file that was uploaded, below MEDIA_ROOT; never served.
    source_path = models.CharField(max_length=200, blank=True)
    source_filename = models.CharField(max_length=255, blank=True)
    source_size = models.BigIntegerField(null=True)
    source_checksum = models.CharField(max_length=80, blank=True)
    source_container = models.CharField(max_length=80, blank=True)
    source_video_codec = models.CharField(max_length=40, blank=True)
    source_audio_codec = models.CharField(max_length=40, blank=True)

    # What is live. A version is immutable; going live is one UPDATE of all of these.
    current_version = models.CharField(max_length=32, blank=True)
    duration_seconds = models.FloatField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    renditions = models.JSONField(default=list)

    # Denormalised by analytics (videos.services.catalogue.set_counters).
    views = models.PositiveBigIntegerField(default=0)
    likes = models.PositiveBigIntegerField(default=0)
    dislikes = models.PositiveBigIntegerField(default=0)

    job = models.ForeignKey(
        "ProcessingJob", on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = VideoQuerySet.as_manager()

    class Meta:
        permissions = [
            ("manage_any_video", "Can see and change every video"),
            ("restore_video", "Can restore deleted videos"),
        ]
        constraints = [
            models.CheckConstraint(
                name="video_price_matches_is_paid",
                condition=Q(is_paid=True, price__gt=0, price__lte=money.MAX_MINOR)
                | Q(is_paid=False, price=0),
            ),
            models.CheckConstraint(
                name="video_rental_is_whole",
                condition=Q(rental_price__isnull=True, rental_hours__isnull=True)
                | Q(
                    is_paid=True,
                    rental_price__isnull=False,
                    rental_price__gt=0,
                    rental_price__lte=money.MAX_MINOR,
                    rental_hours__isnull=False,
                    rental_hours__gt=0,
                ),
            ),
            models.CheckConstraint(
                name="video_ready_is_playable",
                condition=~Q(status="READY") | ~Q(current_version=""),
            ),
            models.CheckConstraint(
                name="video_playable_is_published",
                condition=Q(current_version="") | Q(published_at__isnull=False),
            ),
            models.CheckConstraint(
                name="video_created_has_no_file",
                condition=Q(status="CREATED", source_path="")
                | (~Q(status="CREATED") & ~Q(source_path="")),
            ),
        ]
        indexes = [
            # The public catalogue, newest first.
            models.Index(
                fields=["-created_at", "-id"],
                name="video_public_newest",
                condition=Q(deleted_at=None, visibility="public") & ~Q(current_version=""),
            ),
            # The same for a signed-in caller, whose own videos are among them.
            models.Index(
                fields=["-created_at", "-id"],
                name="video_alive_newest",
                condition=Q(deleted_at=None),
            ),
            models.Index(fields=["creator", "-created_at", "-id"], name="video_by_creator"),
            models.Index(fields=["-views", "-id"], name="video_most_viewed"),
            models.Index(fields=["-published_at", "-id"], name="video_newest_published"),
            models.Index(fields=["category", "-created_at"], name="video_by_category"),
        ]

    def __str__(self):
        return self.title

    @property
    def is_playable(self) -> bool:
        return self.current_version != ""

    @property
    def source(self) -> Path:
        return settings.MEDIA_ROOT / self.source_path

    @property
    def version_folder(self) -> Path:
        return self.versions_folder / self.current_version

    @property
    def versions_folder(self) -> Path:
        return settings.MEDIA_ROOT / "videos" / str(self.pk)


class ProcessingJob(models.Model):
    """One video's way from its file to a published version: the truth about the background work.

    ``attempt`` counts claims that were not given back. ``strikes`` counts the attempts that were the
    work's own fault: a tool that failed, or a job that killed its own process. A worker that was
    killed from outside costs an attempt without a strike; ``MAX_ATTEMPTS_LOST`` bounds even that.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "replaced by a newer file"

    class Kind(models.TextChoices):
        TRANSCODE = "transcode", "transcode a video"

    MAX_ATTEMPTS_LOST = 50

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.TRANSCODE)
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="jobs")
    source_path = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    strikes = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField(default=4)
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(default=timezone.now)
    step = models.CharField(max_length=20, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = ProcessingJobQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two workers may race for one video; the video may not have two jobs that race.
            models.UniqueConstraint(
                fields=["video"],
                name="job_one_open_per_video",
                condition=Q(state__in=["queued", "running"]),
            ),
            models.CheckConstraint(name="job_percent", condition=Q(percent__lte=100)),
            models.CheckConstraint(
                name="job_running_has_lease",
                condition=~Q(state="running") | Q(lease_until__isnull=False),
            ),
        ]
        indexes = [
            # The worker's poll: the oldest due job.
            models.Index(
                fields=["created_at"],
                name="job_open",
                condition=Q(state__in=["queued", "running"]),
            ),
        ]

    def __str__(self):
        return f"{self.kind} of {self.video_id}, attempt {self.attempt}"

    @property
    def work_folder(self) -> Path:
        """Where this attempt works; no other attempt ever does."""
        return settings.MEDIA_ROOT / "work" / str(self.pk) / str(self.fence)
