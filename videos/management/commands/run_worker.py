import sys

from django.core.management.base import BaseCommand, CommandError

from config import database
from videos.worker import NotMigrated, Worker

# Exit codes of --one-job beside 0 (a job was carried out) and 1 (the database is away or not migrated).
NONE_DUE = 3
GIVEN_BACK = 4


class Command(BaseCommand):
    help = (
        "Process videos and do the periodic work until SIGTERM or SIGINT. "
        "Any number of workers may run at the same time."
    )

    def add_arguments(self, parser):
        ends = parser.add_mutually_exclusive_group()
        ends.add_argument(
            "--until-idle", action="store_true", help="Stop when no job is due (for scripts)."
        )
        ends.add_argument(
            "--one-job",
            action="store_true",
            help="Carry out one job that is due, without periodic work, and stop (for Kubernetes Jobs "
            "and machines that come and go). Exit status: 0 a job was carried out, whatever came of "
            f"it; {NONE_DUE} none was due; {GIVEN_BACK} told to stop, the job waits for another "
            "worker; 1 the database is away or not migrated.",
        )

        parser.add_argument(
            "--if-none",
            type=int,
            default=NONE_DUE,
            metavar="STATUS",
            help="Exit status of --one-job when no job is due.",
        )

    def handle(self, *args, **options):
        worker = Worker()
        try:
            if not options["one_job"]:
                worker.run(until_idle=options["until_idle"])
                return
            has_worked = worker.run_one()
        except NotMigrated:
            raise CommandError(database.UNMIGRATED) from None
        if worker.stopping:
            sys.exit(GIVEN_BACK)
        if not has_worked:
            sys.exit(options["if_none"])
