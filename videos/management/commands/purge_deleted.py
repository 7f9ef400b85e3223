from django.conf import settings
from django.core.management.base import BaseCommand

from videos.services import purging


class Command(BaseCommand):
    help = (
        "Remove the files of videos that were deleted more than DELETED_RETENTION_DAYS ago, for good. "
        "Their details, orders, statistics and audit entries stay. A worker does it every hour."
    )

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="Only list these videos.")

    def handle(self, *args, **options):
        if not settings.DELETED_RETENTION_DAYS:
            self.stdout.write(
                "DELETED_RETENTION_DAYS=0: files of deleted videos are kept for ever."
            )
            return
        count = 0
        for video in purging.due().order_by("deleted_at"):
            if options["dry_run"] or purging.purge(video):
                count += 1
                self.stdout.write(
                    f"{video.pk}  deleted {video.deleted_at:%Y-%m-%d %H:%M}Z  {video.title}"
                )
        done = "would be removed" if options["dry_run"] else "were removed"
        self.stdout.write(f"The files of {count} videos {done}.")
