from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from config.ids import uuid7
from config.texts import validate_name


class Caption(models.Model):
    """A text track of a video in one language: subtitles, or captions for people who cannot hear.

    ``text`` is WebVTT as `cues.write` makes it. It may be longer than the video: the file that players
    get is cut at the video's end.
    """

    class Kind(models.TextChoices):
        SUBTITLES = "subtitles", "what is said, perhaps translated"
        CAPTIONS = "captions", "what is said, in the language of the sound"

    class Origin(models.TextChoices):
        UPLOADED = "uploaded", "sent by the owner, or edited by them"
        EMBEDDED = "embedded", "found in the video's file"
        AUTOMATIC = "automatic", "heard in the video's sound"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    video = models.ForeignKey("videos.Video", on_delete=models.CASCADE, related_name="captions")
    language = models.CharField(max_length=60)  # BCP 47
    label = models.CharField(max_length=80, validators=[validate_name])
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.SUBTITLES)
    # Only what viewers need who understand the sound, such as signs and other languages.
    is_forced = models.BooleanField(default=False)
    # Also describes music and noises, for people who cannot hear.
    is_sdh = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False)
    is_automatic = models.BooleanField(default=False)
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.UPLOADED)
    text = models.TextField()
    cues = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["video"],
                name="caption_one_default_per_video",
                condition=Q(is_default=True),
            ),
        ]

    def __str__(self):
        return f"{self.label} ({self.language})"


class CaptionWord(models.Model):
    """A word that occurs in a caption, as `words.of_text` writes it."""

    pk = models.CompositePrimaryKey("word", "caption_id")
    word = models.CharField(max_length=40)
    caption = models.ForeignKey(Caption, on_delete=models.CASCADE, related_name="words")

    def __str__(self):
        return self.word


class Presentation(models.Model):
    """Whether the files beside a video's segments say what the database says.

    Each change raises ``changed`` in its own transaction. `refresh` writes the files after the commit
    and sets ``written`` to the value that it has read. A worker repeats it for rows where they differ.

    ``source`` is the path of the source that the current version was made from, and ``taken_from`` that
    of the source whose captions and chapters were taken over last.
    """

    video = models.OneToOneField(
        "videos.Video", on_delete=models.CASCADE, primary_key=True, related_name="presentation"
    )
    changed = models.PositiveIntegerField(default=1)
    written = models.PositiveIntegerField(default=0)
    source = models.CharField(max_length=200, blank=True)
    taken_from = models.CharField(max_length=200, blank=True)
    # True: the owner has set the chapters, and a new file does not replace them.
    chapters_are_own = models.BooleanField(default=False)

    class Meta:
        indexes = [
            # refresh.mend: the presentations whose files are out of date.
            models.Index(
                fields=["video"], name="presentation_due", condition=~Q(changed=F("written"))
            ),
        ]

    def __str__(self):
        return f"presentation of {self.video_id}"
