import uuid
from collections.abc import Iterator

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from videos.models import Video, WorkerPresence
from videos.services import transcribing


class Command(BaseCommand):
    help = (
        "Queue automatic captions: for the videos with these ids, or for all READY videos with sound "
        "that have none in the language of their sound. Workers make them behind all other work. "
        "Captions that a video has stay, and nothing is made for it then."
    )

    def add_arguments(self, parser):
        parser.add_argument("video_id", nargs="*", help="Id of a READY video; any number of ids.")
        parser.add_argument(
            "--missing", action="store_true", help="All videos that never had automatic captions."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")

    def handle(self, *args, **options):
        if bool(options["video_id"]) == options["missing"]:
            raise CommandError("Name ids of videos, or --missing.")
        if not settings.CAPTIONS_MODEL:
            raise CommandError("CAPTIONS_MODEL names no model (docs/operations.md).")
        queued = refused = 0
        for video in self.chosen(options):
            with transaction.atomic():
                row = Video.objects.alive().select_for_update().filter(pk=video.pk).first()
                if row is None or transcribing.is_captioned(row):
                    reason = "it has captions already"
                elif options["dry_run"] or transcribing.queue(row, again=not options["missing"]):
                    queued += 1
                    self.stdout.write(f"{video.pk}  {video.title}")
                    continue
                else:
                    reason = "it is not READY, is being processed, has no sound, or had them before"
            if options["video_id"]:
                refused += 1
                self.stderr.write(f"{video.pk}  {video.title}: {reason}.")
        verb = "would be queued" if options["dry_run"] else "queued"
        self.stdout.write(f"{queued} {verb}.")
        if queued and not options["dry_run"] and not WorkerPresence.objects.alive().exists():
            self.stdout.write("No worker is running. Start one: python manage.py run_worker")
        if refused:
            raise CommandError(f"{refused} refused.")

    def chosen(self, options) -> Iterator[Video]:
        if options["missing"]:
            ready = Video.objects.alive().filter(status=Video.Status.READY)
            yield from ready.exclude(source_audio_codec="").order_by("created_at").iterator()
        for text in options["video_id"]:
            try:
                yield Video.objects.alive().get(pk=uuid.UUID(text))
            except (ValueError, Video.DoesNotExist):
                raise CommandError(f"There is no video {text}.") from None
