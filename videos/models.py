from pathlib import Path

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from config import money
from config.ids import uuid7
from config.texts import validate_name
from videos import querysets, versions
from videos.availability.models import Availability
from videos.embedding import Embeddable
from videos.encryption.models import Switched
from videos.engines.models import Period as Period  # a model of this app, as the next
from videos.engines.models import WorkerPresence as WorkerPresence
from videos.orders import INDEXES
from videos.presentation.models import Caption
from videos.previews import CONSTRAINTS, Previewed
from videos.tags import Tag
from videos.uploads.models import Upload as Upload


class Video(Previewed, Embeddable, Switched, Availability):
    """One title in the catalogue, with its details, price and files.

    Invariants, held by the database:

    * a paid video has a price above zero, and the price of a free video is zero;
    * a rental has a price and hours, and only a paid video has a rental;
    * a READY video has a full current version;
    * a video with a current version has a publication time;
    * a video is CREATED exactly as long as it has no source.
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

    class Completeness(models.TextChoices):
        """What the current version has of the video. An early version has one rendition."""

        FULL = "full", "every rendition"
        EARLY = "early", "one rendition, of the whole video"
        GROWING = "growing", "one rendition, of which the end is still being encoded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="videos"
    )
    title = models.CharField(max_length=200, validators=[validate_name])
    description = models.TextField(max_length=10_000, blank=True)
    category = models.CharField(max_length=60, blank=True, validators=[validate_name])
    tags = models.ManyToManyField(Tag, blank=True, related_name="videos")
    status = models.CharField(max_length=12, choices=Status, default=Status.CREATED)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)

    is_paid = models.BooleanField(default=False)
    price = models.BigIntegerField(
        "price in minor units", default=0, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(max_length=3, default="USD")
    # A paid video can also be rented, for these hours from the first playback.
    rental_price = models.BigIntegerField("rental price in minor units", null=True, blank=True)
    rental_hours = models.PositiveIntegerField(null=True, blank=True)

    # The file that the creator uploaded: its path is relative to MEDIA_ROOT, and it is never served.
    # Size in bytes; container and codecs are known after processing.
    source_path = models.CharField(max_length=200, blank=True)
    source_filename = models.CharField(max_length=255, blank=True)
    source_size = models.BigIntegerField(null=True)
    source_checksum = models.CharField(max_length=80, blank=True)
    source_container = models.CharField(max_length=80, blank=True)
    source_video_codec = models.CharField(max_length=40, blank=True)
    source_audio_codec = models.CharField(max_length=40, blank=True)
    # Sentences about parts of the source that could not be taken over.
    source_notes = models.JSONField(default=list, editable=False)

    # The version that viewers get, and its properties. A version never changes, except that a growing
    # one gets longer: publishing another one is a single UPDATE of all these fields. Empty before the
    # first one.
    current_version = models.CharField(max_length=32, blank=True)
    completeness = models.CharField(
        max_length=8, choices=Completeness, default=Completeness.FULL, editable=False
    )
    # The average length of its segments. Those of a copied source end at the source's keyframes.
    segment_seconds = models.FloatField(default=4.0, editable=False)
    duration_seconds = models.FloatField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    renditions = models.JSONField(default=list)

    # What is shown beside the picture (videos.presentation). ``poster_tag`` names the owner's poster.
    audio_tracks = models.JSONField(default=list, editable=False)
    chapters = models.JSONField(default=list, editable=False)
    poster_tag = models.CharField(max_length=32, blank=True, editable=False)
    has_storyboard = models.BooleanField(default=False, editable=False)

    # Counted by the analytics app, which writes them with catalogue.set_counters.
    views = models.PositiveBigIntegerField(default=0)
    likes = models.PositiveBigIntegerField(default=0)
    dislikes = models.PositiveBigIntegerField(default=0)

    # The newest processing job; the earlier ones are in ``jobs``.
    job = models.ForeignKey(
        "ProcessingJob", on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)
    purged_at = models.DateTimeField(null=True, editable=False)  # its files were removed for good
    taken_down_at = models.DateTimeField(null=True, editable=False)  # by a moderator

    objects = querysets.VideoQuerySet.as_manager()
    # Only where `videos.reading` has read them: the tags in alphabetical order, captions without texts.
    tag_names: list[str]
    caption_rows: list["Caption"]

    class Meta:
        permissions = [
            ("view_any_video", "Can see every video, and how it is processed"),
            ("change_any_video", "Can change every video and replace its file"),
            ("delete_any_video", "Can delete every video"),
            ("retry_any_video", "Can queue every failed video for processing again"),
            ("watch_any_video", "Can watch every video without paying"),
            ("restore_video", "Can restore deleted videos"),
        ]
        constraints = [
            *CONSTRAINTS,
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
                condition=~Q(status="READY") | (~Q(current_version="") & Q(completeness="full")),
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
        indexes = INDEXES

    def __str__(self):
        return self.title if self.deleted_at is None else f"{self.title} (deleted)"

    @property
    def is_playable(self) -> bool:
        """Whether the video has a version that can be played."""
        return self.current_version != ""

    @property
    def poster_name(self) -> str:
        """The name of the poster that is shown, which another poster never has; "" without one."""
        return versions.poster_name(self.current_version, self.poster_tag)

    @property
    def chosen_poster(self) -> Path:
        """The file of the poster that the owner chose, if there is a ``poster_tag``."""
        return settings.MEDIA_ROOT / "posters" / str(self.pk) / f"{self.poster_tag}.jpg"

    @property
    def is_withdrawn(self) -> bool:
        """Whether it is sold no more: taken down, or its creator is deactivated or suspended."""
        return not self.creator.may_offer or self.taken_down_at is not None

    @property
    def source(self) -> Path:
        return settings.MEDIA_ROOT / self.source_path

    @property
    def version_folder(self) -> Path:
        """The folder of the current version."""
        return self.versions_folder / self.current_version

    @property
    def versions_folder(self) -> Path:
        """The folder of all versions of the video that are still on the disk."""
        return settings.MEDIA_ROOT / "videos" / str(self.pk)


class ProcessingJob(models.Model):
    """The work that turns one source into a version. The table of jobs is the queue. Its columns:

    * ``stage``: FIRST makes an early version, REST the full one; AGAIN makes the full version of a
      video anew that had one. A job begins with FIRST if its video cannot be played. CAPTIONS is the
      only stage of its kind, which changes neither the video nor its version; an import has only FIRST;
    * ``attempt``: claims at this stage so far, without those that were given back;
    * ``strikes``: attempts that failed by the job's own fault: a tool failed, or the job killed its
      process. With ``max_attempts`` strikes the job is FAILED. An attempt that ended because its
      worker was killed is no strike, but after ``MAX_ATTEMPTS_LOST`` attempts the job is FAILED. Each
      stage has its own strikes;
    * ``fence``: rises with each claim; only the holder of the newest fence may publish;
    * ``worker``, ``lease_until``: the owner of a RUNNING job, and the end of its time;
    * ``not_before``: the earliest time of the next claim;
    * ``dispatched_at``: when workers were last told of the job since its last claim (``engines``);
    * ``step``, ``percent``: the progress of the running attempt at its stage, for people;
    * ``error_code``, ``error_detail``: the reason of the last failure, for the creator;
    * ``last_line``: the last line that a tool wrote when it failed, without paths of the server;
    * ``key``: one value for each source and retry, so that no work is queued twice.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "replaced by a newer file"

    class Kind(models.TextChoices):
        TRANSCODE = "transcode", "transcode a video"
        CAPTIONS = "captions", "write down what is said in a video"
        IMPORT = "import", "fetch the file of a video from an address"

    class Stage(models.IntegerChoices):
        """The stages, in the order in which workers prefer them."""

        FIRST = 1, "first rendition"
        REST = 2, "all renditions"
        AGAIN = 3, "all renditions again"
        CAPTIONS = 4, "automatic captions"

    MAX_ATTEMPTS_LOST = 50

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.TRANSCODE)
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="jobs")
    # A copy, so that turns can be read from this table's indexes alone. The row goes with its video.
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, "+", db_constraint=False, db_index=False
    )
    source_path = models.CharField(max_length=200)
    url = models.CharField(max_length=2000, blank=True)  # of the file, for a job of the kind IMPORT
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    stage = models.PositiveSmallIntegerField(choices=Stage, default=Stage.REST)
    attempt = models.PositiveIntegerField(default=0)
    strikes = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField(default=4)
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True)
    step = models.CharField(max_length=20, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    last_line = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = querysets.ProcessingJobQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two open jobs of one video would race to publish their versions.
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
            # The open jobs of all creators, the oldest first.
            models.Index(
                fields=["created_at"],
                name="job_open",
                condition=Q(state__in=["queued", "running"]),
            ),
            # claiming.claim_first: the oldest waiting job of each stage and creator, and what they run.
            models.Index(
                fields=["stage", "creator", "created_at", "id"],
                name="job_waiting",
                condition=Q(state="queued"),
            ),
            models.Index(fields=["creator"], name="job_running", condition=Q(state="running")),
            models.Index(fields=["creator", "-started_at"], name="job_begun"),
        ]

    def __str__(self):
        return f"{self.kind} of {self.video_id}, attempt {self.attempt}"

    @property
    def work_folder(self) -> Path:
        """The folder of this attempt alone, for unfinished files."""
        return settings.MEDIA_ROOT / "work" / str(self.pk) / str(self.fence)

    @property
    def chunks_folder(self) -> Path:
        """The folder of the job's chunks, which outlives an attempt."""
        return settings.MEDIA_ROOT / "work" / str(self.pk) / "chunks"


class Chunk(models.Model):
    """A part of a job's encode that any worker can make: ``frames`` pictures, or all sound (no frames).

    ``plan`` is the signature of the plan that cut the encode. An OPEN chunk is due from ``due_at`` on:
    that is also the end of the lease of the worker that makes it. ``fence`` and ``attempt`` are as those
    of a job. DONE, ``made`` has the ``sizes`` of its files, and the ``empty`` seconds of its pictures or
    sound. REFUSED, the encode cannot be cut, and the job makes it whole. Rows end with their job.
    """

    class State(models.TextChoices):
        OPEN = "open", "waiting, or being made"
        DONE = "done", "done"
        REFUSED = "refused", "only a whole encode can be right"

    job = models.ForeignKey(ProcessingJob, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    plan = models.CharField(max_length=64)
    first_frame = models.PositiveIntegerField()
    frames = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    worker = models.CharField(max_length=120, blank=True)
    due_at = models.DateTimeField(db_default=Now())
    fence = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    percent = models.PositiveSmallIntegerField(default=0)
    made = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True)

    objects = querysets.ChunkQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="chunk_once")]

    def __str__(self):
        return f"chunk {self.number} of {self.job_id}"

    @property
    def folder(self) -> Path:
        """The folder that only this attempt at the chunk writes."""
        return self.job.chunks_folder / self.plan[:12] / f"{self.number}-{self.fence}"
