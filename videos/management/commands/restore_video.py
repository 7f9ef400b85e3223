import uuid

from django.core.management.base import BaseCommand, CommandError

from config.errors import NotVisible
from videos.models import Video
from videos.services import catalogue


class Command(BaseCommand):
    help = "Restore deleted videos as they were. Without an id, list the deleted videos. Safe to repeat."

    def add_arguments(self, parser):
        parser.add_argument("video_id", nargs="*", help="Id of a deleted video; any number of ids.")

    def handle(self, *args, **options):
        if not options["video_id"]:
            for video in Video.objects.deleted().select_related("creator").order_by("-deleted_at"):
                self.stdout.write(
                    f"{video.pk}  deleted {video.deleted_at:%Y-%m-%d %H:%M}Z  {video.title}"
                    f"  ({video.creator.public_name})"
                )
            return
        for text in options["video_id"]:
            try:
                video = catalogue.restore_video(video_id=uuid.UUID(text), actor=None)
            except ValueError:
                raise CommandError(
                    f"{text!r} is not a video's id. Run restore_video without an id to list them."
                ) from None
            except NotVisible:
                raise CommandError(
                    f"There is no video {text}. Run restore_video without an id to list them."
                ) from None
            self.stdout.write(self.style.SUCCESS(f"{video.pk}  {video.title}: no longer deleted."))
