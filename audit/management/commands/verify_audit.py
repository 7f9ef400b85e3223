from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import checkpoints, verification
from audit.models import AuditEntry
from config.management.progress import progress


class Command(BaseCommand):
    help = (
        "Verify the audit log: its triggers, its signed checkpoints and the hash of every entry. With"
        " --against, also compare it with checkpoints that were kept elsewhere. Changes nothing. Exits"
        " with 1 when something is wrong, and names the first entry that is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--against",
            metavar="FILE",
            type=Path,
            help="a file of audit_checkpoint, or of AUDIT_CHECKPOINT_FILE",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lines = checkpoints.read(options["against"]) if options["against"] else []
        except checkpoints.WrongLine as error:
            raise CommandError(f"{error}.") from None
        AuditEntry.objects.exists()  # a database that is away or has no tables is told at once
        with progress("entries") as show:
            total, done = verification.to_verify(), 0

            def on_progress(count: int) -> None:
                nonlocal done
                done += count
                show(done, max(done, total))

            report = verification.verify(lines, on_progress)
        self._tell(report)
        if problems := self._problems(report, lines):
            raise CommandError("\n".join(problems))

    def _tell(self, report: verification.Report) -> None:
        """Write what was found right, and what could not be verified."""
        if not (report.broken or report.unknown_key):
            text = f"{report.entries} entries, one unbroken chain."
            if report.compared:
                text += f" {report.compared} checkpoints of the file agree with it."
            self.stdout.write(self.style.SUCCESS(text))
        if report.too_old:
            self.stdout.write(
                f"{report.too_old} checkpoints of the file are about entries before entry"
                f" {report.begins_at}, where the proof begins; they were not compared."
            )
        if report.before_proof:
            self.stdout.write(
                f"{report.before_proof} stored entries lie before entry {report.begins_at}, where the"
                " proof begins; they were not verified."
            )
        if report.waiting:
            self.stdout.write(
                f"{report.waiting} entries wait to be sealed by the worker; they were not verified."
            )

    @staticmethod
    def _problems(report: verification.Report, lines: list[checkpoints.Line]) -> list[str]:
        problems = []
        if report.missing_triggers:
            problems.append(
                "These triggers, which keep entries from being changed, are missing, disabled or"
                f" changed: {', '.join(report.missing_triggers)}. `manage.py migrate` creates them"
                " again; find out who removed them."
            )
        if report.broken:
            place = f" at position {report.broken.position}" if report.broken.position else ""
            problems.append(f"The audit log is broken{place}: {report.broken.reason}.")
        if report.unknown_key:
            problems.append(f"The audit log cannot be verified: {report.unknown_key}.")
        if lines and not (report.compared or report.broken or report.unknown_key):
            problems.append(
                "No checkpoint of the file could be compared: all are older than the entries that are"
                " still kept. Use a newer file."
            )
        return problems
