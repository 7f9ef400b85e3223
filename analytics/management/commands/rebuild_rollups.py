from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_date

from analytics.rollups import rebuilding
from config.management.progress import progress

SHOWN = 50  # differences printed


class Command(BaseCommand):
    help = (
        "Recompute the roll-ups of the dashboards from the raw playback, and print what differs: nothing"
        " must. Replaces what differs, and adds up finished days that are not in the roll-ups yet. Days"
        " whose raw playback is pruned stay as they are. Each day is stored by itself: end the command"
        " when you like, and continue with --resume."
    )

    def add_arguments(self, parser):
        parser.add_argument("--from", dest="start", metavar="DATE", help="the first day, in UTC")
        parser.add_argument("--to", dest="end", metavar="DATE", help="the last day, in UTC")
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit with 1 if anything differs"
        )
        parser.add_argument(
            "--resume",
            action="store_true",
            help="skip days that were compared in the last 24 hours",
        )

    def handle(self, *args, **options):
        start, end = (
            _day(f"--{name}", options[key]) for name, key in (("from", "start"), ("to", "end"))
        )
        if start and end and start > end:
            raise CommandError("--from must not lie after --to.")
        shown = 0

        def tell(difference):
            nonlocal shown
            shown += 1
            if shown <= SHOWN:
                self.stdout.write(str(difference))

        with progress("Days") as show:
            done = rebuilding.rebuild(
                start,
                end,
                write=not options["check"],
                resume=options["resume"],
                tell=tell,
                progress=show,
            )
        if shown > SHOWN:
            self.stdout.write(f"and {shown - SHOWN} more")
        self.stdout.write(
            f"{done.compared} days were compared, {done.added} added, {done.skipped} skipped; "
            f"{done.pruned} are pruned, {done.busy} were being changed."
        )
        if done.different and options["check"]:
            raise CommandError(f"{done.different} roll-ups differ from the raw playback.")
        verdict = "were replaced" if done.different else "differ"
        self.stdout.write(f"{done.different or 'No'} roll-ups {verdict}.")


def _day(option: str, text: str | None) -> date | None:
    """Return the day of an option. Raises CommandError for another text."""
    if text is None:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise CommandError(f"{option} {text}: it must be a date such as 2026-01-31.")
    return day
