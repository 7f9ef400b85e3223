import uuid

from django.core.management.base import BaseCommand, CommandError

from videos.errors import FilesRemoved
from videos.models import Video
from videos.services import catalogue


class Command(BaseCommand):
    help = (
        "Restore deleted videos as they were. Without an id, list the deleted videos. Exits with 1 when"
        " an id is not that of a deleted video; the other videos are restored all the same."
    )

    def add_arguments(self, parser):
        parser.add_argument("video_id", nargs="*", help="Id of a deleted video; any number of ids.")

    def handle(self, *args, **options):
        if not options["video_id"]:
            return self.list_deleted()
        refused = [reason for text in options["video_id"] if (reason := self.refusal(text))]
        if refused:
            raise CommandError(
                "\n".join([*refused, "Run restore_video without an id to list the deleted videos."])
            )
        return None

    def list_deleted(self) -> None:
        videos = Video.objects.deleted().select_related("creator").order_by("-deleted_at")
        for video in videos:
            lost = ", its files are removed" if video.purged_at else ""
            self.stdout.write(
                f"{video.pk}  deleted {video.deleted_at:%Y-%m-%d %H:%M}Z{lost}  {video.title}"
                f"  ({video.creator.public_name})"
            )
        if not videos:
            self.stdout.write("No video is deleted, so there is nothing to restore.")

    def refusal(self, text: str) -> str | None:
        """Restore the video with the id in ``text``, or return why it cannot be restored."""
        try:
            video = Video.objects.filter(pk=uuid.UUID(text)).first()
        except ValueError:
            return f"{text!r} is not a video's id."
        if video is None:
            return f"There is no video {text}."
        if video.deleted_at is None:
            return f"{text}  {video.title}: is not deleted."
        try:
            catalogue.restore_video(video_id=video.pk, actor=None)
        except FilesRemoved as error:
            return f"{text}  {video.title}: {error.detail}"
        self.stdout.write(self.style.SUCCESS(f"{video.pk}  {video.title}: no longer deleted."))
        return None
