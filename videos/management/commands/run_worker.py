from django.core.management.base import BaseCommand

from videos.worker import Worker


class Command(BaseCommand):
    help = "Process videos and do the periodic work, until told to stop. Run as many as you like."

    def add_arguments(self, parser):
        parser.add_argument(
            "--until-idle", action="store_true", help="End when no job is due (for scripts)."
        )

    def handle(self, *args, **options):
        Worker().run(until_idle=options["until_idle"])
