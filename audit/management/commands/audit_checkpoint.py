from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import checkpoints, sealing
from audit.chain import BrokenEntry
from audit.keys import UnknownKey
from config.management.progress import progress


class Command(BaseCommand):
    help = (
        "Verify the entries since the last checkpoint and sign a new one: a line of JSON to keep on"
        " another machine, for `verify_audit --against`. Exits with 1, and signs nothing, if the log is"
        " broken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", type=Path, help="add the line to this file")
        parser.add_argument(
            "--restart",
            action="store_true",
            help=(
                "begin a new proof at the end of the log, because the key is lost or the log was found"
                " broken; earlier entries stay, but are no longer verified"
            ),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["restart"]:
                checkpoint = checkpoints.restart()
            else:
                while sealing.seal():
                    pass
                with progress("entries") as show:
                    done = 0

                    def on_progress(count: int) -> None:
                        nonlocal done
                        done += count
                        show(done, done)

                    checkpoint = checkpoints.make(on_progress)
        except BrokenEntry as broken:
            raise CommandError(
                f"The audit log is broken at position {broken.position}: {broken.reason}. Nothing was"
                " signed. If you have looked into it, --restart begins a new proof."
            ) from None
        except UnknownKey as error:
            raise CommandError(
                f"Nothing was signed: {error}. If the key is lost, --restart begins a new proof."
            ) from None
        except checkpoints.NoCheckpoint as error:
            raise CommandError(f"Nothing was signed: {error}.") from None
        if not options["output"]:
            self.stdout.write(checkpoints.as_line(checkpoint))
            return
        try:
            checkpoints.append(options["output"], checkpoint)
        except OSError as error:
            raise CommandError(
                f"{options['output']} cannot be written: {error.strerror}. The checkpoint is stored in"
                " the database; run the command again with another file."
            ) from None
        self.stdout.write(
            f"The checkpoint of entry {checkpoint.position} was added to {options['output']}."
        )
