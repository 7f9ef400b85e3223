from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from videos import storage
from videos.services import moving

TO = {"s3": "the bucket", "local": "MEDIA_DIR"}


class Command(BaseCommand):
    help = (
        "Move sources, published versions and posters to the storage that STORAGE names, from the other "
        "one. The service runs meanwhile, with the same settings, and every video can be played. A run "
        "that was stopped is continued by the next one. Exits with 1 while something is left."
    )

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be moved.")

    def handle(self, *args, **options):
        if reason := storage.trouble():
            raise CommandError(f"{reason} {storage.REMEDY}")
        try:
            items = list(moving.waiting())
        except moving.NotMoving:
            self.stdout.write(f"Nothing to move: all files are in {TO[settings.STORAGE]}.")
            return
        left = 0
        for number, item in enumerate(items, 1):
            said = f"{number}/{len(items)}  {item.name}  {item.video.title}"
            try:
                if not options["dry_run"]:
                    moving.move(item)
            except moving.Busy:
                left += 1
                self.stderr.write(f"{said}: is being processed; left for the next run.")
            except moving.Faulty as fault:
                left += 1
                self.stderr.write(f"{said}: {fault}; left where it is.")
            except OSError as error:
                left += 1
                self.stderr.write(f"{said}: {error.strerror or error}; left for the next run.")
            else:
                self.stdout.write(said)
        verb = "would be moved" if options["dry_run"] else "moved"
        self.stdout.write(f"{len(items) - left} {verb} to {TO[settings.STORAGE]}, {left} left.")
        if left:
            raise CommandError(f"{left} left. Run the command again.")
