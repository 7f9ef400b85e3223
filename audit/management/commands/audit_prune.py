from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date

from audit import checkpoints, pruning
from audit.chain import BrokenEntry
from audit.keys import UnknownKey
from config.management.progress import progress


class Command(BaseCommand):
    help = (
        "Delete the audit entries that are older than a date. They are verified first, and a signed"
        " checkpoint says where the proof begins then. Keep that checkpoint elsewhere"
        " (audit_checkpoint --output FILE). Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--before",
            metavar="DATE",
            required=True,
            help="the first day to keep, as YYYY-MM-DD, in UTC",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        before = _day(options["before"])
        try:
            with progress("entries") as show:
                done = 0

                def on_progress(count: int) -> None:
                    nonlocal done
                    done += count
                    show(done, done)

                deleted = pruning.prune(before, on_progress)
        except BrokenEntry as broken:
            raise CommandError(
                f"The audit log is broken at position {broken.position}: {broken.reason}. Nothing was"
                " deleted. Run `manage.py verify_audit`."
            ) from None
        except (UnknownKey, checkpoints.NoCheckpoint) as error:
            raise CommandError(f"Nothing was deleted: {error}.") from None
        if not deleted:
            self.stdout.write(f"No entry is older than {options['before']}. Nothing was deleted.")
            return
        begins_at = checkpoints.newest().begins_at
        self.stdout.write(
            f"{deleted} entries were deleted. The proof now begins at entry {begins_at}. Export it:"
            " manage.py audit_checkpoint --output FILE"
        )


def _day(text: str) -> datetime:
    """Return the beginning of a day in UTC. Raises CommandError for another text or a future day."""
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise CommandError(f"--before {text}: it must be a date such as 2026-01-31.")
    before = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if before > timezone.now():
        raise CommandError(f"--before {text}: this day has not begun yet.")
    return before
