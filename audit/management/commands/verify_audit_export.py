import csv
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import exporting


class Command(BaseCommand):
    help = (
        "Verify an export of the audit log from the admin site (CSV or NDJSON): the hash of each sealed"
        " entry, and that its columns are those of the log. Needs the key of the chain. Changes nothing."
        " Exits with 1 when something is wrong, and names the first row that is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with options["file"].open(encoding="utf-8", newline="") as text:
                verdict = exporting.verify(iter(text))
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from None
        except (ValueError, ValidationError, csv.Error) as error:
            raise CommandError(
                f"{options['file']} is no export of the audit log, or was changed: {error}."
            ) from None
        if verdict.broken:
            raise CommandError(f"The export cannot be believed. {verdict.broken}")
        self.stdout.write(
            self.style.SUCCESS(f"{verdict.proved} entries are proved, and are as in the log.")
        )
        if verdict.gone:
            self.stdout.write(
                f"{verdict.gone} of them have been deleted from the log since: their `sealed` is"
                " proved, their other columns could not be compared."
            )
        if verdict.unsealed:
            self.stdout.write(
                f"{verdict.unsealed} lines have no place in the chain: API requests, and entries that"
                " waited for the worker. They prove nothing."
            )
