import time
import uuid
from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError

from config.errors import DomainError, NotVisible, ServiceUnavailable
from videos import storage
from videos.models import ProcessingJob, Video, WorkerPresence
from videos.services import reprocessing

WATCH_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Make versions of READY videos again from their sources: of the videos with these ids, of all, "
        "or of those whose files are missing or damaged. Viewers keep the old version until the new "
        "one is ready, and uploads are processed before. Exits with 1 when a video is refused, or "
        "with --wait when it could not be made again."
    )

    def add_arguments(self, parser):
        parser.add_argument("video_id", nargs="*", help="Id of a READY video; any number of ids.")
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--all", action="store_true", help="All READY videos.")
        chosen.add_argument(
            "--missing", action="store_true", help="Those whose files are missing or damaged."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument(
            "--wait", action="store_true", help="Show the workers' progress until they are done."
        )

    def handle(self, *args, **options):
        if bool(options["video_id"]) == (options["all"] or options["missing"]):
            raise CommandError("Name ids of videos, or --missing, or --all.")
        if reason := storage.trouble():
            raise CommandError(f"{reason} {storage.REMEDY}")
        self.refused = 0
        queued = list(self.queue(options))
        verb = "would be made again" if options["dry_run"] else "queued"
        self.stdout.write(f"{len(queued)} {verb}, {self.refused} refused.")
        if queued and not options["dry_run"] and not WorkerPresence.objects.alive().exists():
            self.stdout.write("No worker is running. Start one: python manage.py run_worker")
        failed = self.watch(queued) if options["wait"] and not options["dry_run"] else 0
        if self.refused or failed:
            raise CommandError(f"{self.refused} refused, {failed} could not be made again.")

    def queue(self, options) -> Iterator[Video]:
        """Queue the chosen videos and yield them, with a line for each."""
        videos = list(self.chosen(options))
        for number, video in enumerate(videos, 1):
            fault = ""
            if options["missing"] and not (fault := reprocessing.fault_of(video)):
                continue
            said = f"{number}/{len(videos)}  {video.pk}  {video.title}: {fault or 'chosen'}"
            try:
                if not options["dry_run"]:
                    reprocessing.reprocess(video=video, actor=None)
            except (DomainError, NotVisible, ServiceUnavailable) as error:
                self.refused += 1
                self.stderr.write(f"{said}, refused: {error.detail}")
            else:
                self.stdout.write(said)
                yield video

    def chosen(self, options) -> Iterator[Video]:
        if not options["video_id"]:
            ready = Video.objects.alive().filter(status=Video.Status.READY)
            yield from ready.order_by("created_at")
        for text in options["video_id"]:
            try:
                yield Video.objects.alive().get(pk=uuid.UUID(text))
            except ValueError:
                self.refused += 1
                self.stderr.write(f"{text!r} is not a video's id.")
            except Video.DoesNotExist:
                self.refused += 1
                self.stderr.write(f"There is no video {text}.")

    def watch(self, videos: list[Video]) -> int:
        """Show the progress until all jobs of these videos have ended; return how many failed."""
        ids, said = [video.pk for video in videos], ""
        while True:
            states = list(
                Video.objects.filter(pk__in=ids).values_list("job__state", "job__percent")
            )
            ended = [state for state, _ in states if state not in ("queued", "running")]
            percent = sum(100 if state == "done" else done for state, done in states)
            line = f"{len(ended)} of {len(ids)} ended, {percent // max(1, len(ids))} %"
            if line != said:
                said = line
                self.stdout.write(line)
            if len(ended) == len(states):
                return ended.count(ProcessingJob.State.FAILED)
            time.sleep(WATCH_SECONDS)
