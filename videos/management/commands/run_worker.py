from django.core.management.base import BaseCommand, CommandError

from config import database
from videos.worker import NotMigrated, Worker


class Command(BaseCommand):
    help = (
        "Process videos and do the periodic work until SIGTERM or SIGINT. "
        "Any number of workers may run at the same time."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--until-idle", action="store_true", help="Stop when no job is due (for scripts)."
        )

    def handle(self, *args, **options):
        try:
            Worker().run(until_idle=options["until_idle"])
        except NotMigrated:
            raise CommandError(database.UNMIGRATED) from None
