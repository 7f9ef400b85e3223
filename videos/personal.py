"""What exports and erasures do with the rows of this app (`config.personal`)."""

from contextlib import suppress

from accounts.models import User
from config import personal
from config.errors import NotVisible
from config.personal import Fate, Person, Rows
from videos.errors import UploadGone
from videos.models import Caption, ProcessingJob, Upload, Video
from videos.moderation.models import Appeal, ModerationCase, Report, Suspension
from videos.services import catalogue, direct, purging, resuming

GONE = "(deleted)"  # in place of the title of a video that nobody bought


def _erase_uploads(person: Person) -> None:
    """End the uploads and remove their bytes. One that is being written raises, and is tried again."""
    for upload in Upload.objects.filter(user=person.user_id, joined=None).order_by("pk"):
        with suppress(UploadGone):  # the bytes are on another machine, which removes them
            if upload.kind == Upload.Kind.DIRECT:
                direct.end(upload)
            else:
                resuming.terminate(upload)
    Upload.objects.filter(user=person.user_id).delete()


def _erase_videos(person: Person) -> None:
    """Delete each video and its files for good, and what was said about it."""
    creator = User.objects.get(pk=person.user_id)
    videos = Video.objects.filter(creator=creator)
    # First the words, because the news of a deletion has the title.
    personal.emptied(videos, description="", category="", source_filename="", source_checksum="")
    # A receipt names what was bought.
    personal.emptied(videos.filter(orders=None), title=GONE)
    for video in videos.order_by("pk"):
        video.tags.clear()
        with suppress(NotVisible):  # deleted before
            catalogue.delete_video(video=video, actor=creator)
        purging.purge(video, at_once=True)
    personal.emptied(videos, audio_tracks=[])
    about = ModerationCase.objects.filter(video__creator=creator)
    personal.emptied(about, note="")
    personal.emptied(Report.objects.filter(case__in=about), detail="")
    personal.emptied(Appeal.objects.filter(case__in=about), detail="", answer="")


def _erase_jobs(person: Person) -> None:
    jobs = ProcessingJob.objects.filter(creator=person.user_id)
    personal.emptied(jobs, url="", error_detail="", last_line="")


def _erase_reports(person: Person) -> None:
    personal.emptied(Report.objects.filter(reporter=person.user_id), detail="")


def _erase_suspensions(person: Person) -> None:
    personal.emptied(Suspension.objects.filter(creator=person.user_id), note="")


_DECIDED = "Who decided as a moderator; the id alone."

personal.register(
    Rows(
        Upload, "user", "uploads", Fate.REMOVED, "With the bytes that have come.",
        "uploads",
        ("id", "kind", "state", "filename", "title", "length", "offset", "video_id", "created_at"),
        _erase_uploads,
    ),
    Rows(
        Video, "creator", "videos", Fate.ANONYMOUS,
        "Files, captions, pictures, descriptions and tags go at once. The row stays for orders and"
        " figures; the title stays where somebody has bought the video, because receipts name it.",
        "videos",
        (
            "id", "title", "description", "category", "status", "visibility", "is_paid", "price",
            "rental_price", "currency", "duration_seconds", "width", "height", "views", "likes",
            "dislikes", "created_at", "published_at", "deleted_at", "purged_at", "source_filename",
            "source_size", "source_checksum", "renditions", "audio_tracks", "chapters",
        ),
        _erase_videos,
    ),
    Rows(
        ProcessingJob, "creator", "jobs of videos", Fate.ANONYMOUS,
        "The address of an import and the lines of programs go.", erase=_erase_jobs,
    ),
    Rows(
        Caption, "video__creator", "captions", Fate.REMOVED, "With the videos.",
        "captions",
        ("id", "video_id", "language", "label", "kind", "is_automatic", "text", "created_at"),
        erase=lambda person: None,
    ),
    Rows(
        Report, "reporter", "reports of videos", Fate.ANONYMOUS,
        "The words go; that a report was made stays with the case.",
        "reports", ("id", "case__video_id", "reason", "detail", "created_at"), _erase_reports,
    ),
    Rows(
        Appeal, "case__video__creator", "appeals", Fate.ANONYMOUS, "The words go.",
        "appeals",
        ("id", "case__video_id", "status", "detail", "answer", "created_at", "decided_at"),
        erase=lambda person: None,
    ),
    Rows(
        Suspension, "creator", "suspensions", Fate.ANONYMOUS, "The words go.",
        "suspensions", ("id", "reason", "note", "created_at", "lifted_at"), _erase_suspensions,
    ),
    Rows(ModerationCase, "decided_by", "decisions about videos", Fate.KEPT, _DECIDED),
    Rows(Appeal, "decided_by", "answers to appeals", Fate.KEPT, _DECIDED),
    Rows(Suspension, "created_by", "suspensions of others", Fate.KEPT, _DECIDED),
    Rows(Suspension, "lifted_by", "suspensions that were lifted", Fate.KEPT, _DECIDED),
)  # fmt: skip
