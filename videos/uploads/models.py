"""The rows of uploads that arrive in several requests, here or in the bucket."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7


class Upload(models.Model):
    """A file that arrives in any number of requests: by the tus protocol, or DIRECT in the bucket.

    Of tus, the bytes are in `videos.uploads.spool`, and how many there are is the size of that file
    alone: ``offset`` is what the last answered request left, or one under way has announced, for people
    and for the quota. ``length`` is None as long as the client has not told it. ``metadata`` and
    ``concat`` are the client's headers as they came. ``video_id`` is the video to which the file goes;
    with ``makes_video`` it is made then. A PART goes to no video: once joined it is a part of
    ``joined``, at ``position``.

    A DIRECT one is the bucket's upload in parts ``multipart_id``, for the object ``object_name``. Its
    ``offset`` is 0 until its client has said that all parts are there, and the bucket has said so too:
    then it is ``length``, and ``parts_etag`` is what tells these parts from others.
    """

    class Kind(models.TextChoices):
        WHOLE = "whole", "a whole file"
        PART = "part", "a part of a file"
        JOINED = "joined", "a file joined from parts"
        DIRECT = "direct", "a file that is sent to the bucket"

    class State(models.TextChoices):
        OPEN = "open", "under way"
        DONE = "done", "the source of its video"
        FAILED = "failed", "complete, and refused"
        EXPIRED = "expired", "given up by its client"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, "+")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.WHOLE)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    length = models.BigIntegerField(null=True)
    offset = models.BigIntegerField(default=0)
    metadata = models.TextField(blank=True)
    concat = models.TextField(blank=True)
    filename = models.CharField(max_length=255, blank=True)
    title = models.CharField(max_length=200, blank=True)
    video_id = models.UUIDField(null=True)
    makes_video = models.BooleanField(default=False)
    joined = models.ForeignKey("self", models.CASCADE, null=True, related_name="parts")
    position = models.PositiveSmallIntegerField(default=0)
    object_name = models.CharField(max_length=255, blank=True)
    multipart_id = models.TextField(blank=True)
    part_size = models.BigIntegerField(null=True)
    parts_etag = models.CharField(max_length=80, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="upload_offset_within_length",
                condition=Q(offset__gte=0) & (Q(length=None) | Q(length__gte=models.F("offset"))),
            ),
            models.CheckConstraint(
                name="upload_part_has_no_video",
                condition=Q(kind="part", video_id=None) | (~Q(kind="part") & ~Q(video_id=None)),
            ),
            models.CheckConstraint(
                name="upload_direct_has_object",
                condition=(Q(kind="direct") & ~Q(object_name="") & Q(part_size__gt=0))
                | (~Q(kind="direct") & Q(object_name="", part_size=None)),
            ),
            models.CheckConstraint(
                name="upload_ended_at",
                condition=Q(state="open", ended_at=None) | (~Q(state="open") & ~Q(ended_at=None)),
            ),
        ]
        indexes = [
            # The quota of a creator, and those that wait for their end.
            models.Index(fields=["user"], name="upload_open", condition=Q(state="open")),
            models.Index(fields=["ended_at"], name="upload_ended"),
        ]

    def __str__(self):
        return f"{self.kind} upload {self.filename or self.pk}"

    @property
    def is_complete(self) -> bool:
        return self.length is not None and self.offset == self.length
