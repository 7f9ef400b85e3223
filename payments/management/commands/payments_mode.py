from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments import gateways, modes
from payments.modes import Mode
from payments.services.modes import survey, switching
from videos.models import WorkerPresence

COPIES_ONLY = (
    "The database holds LIVE money. Leave the live mode only in a copy of it, such as on a staging"
    " machine: here all buyers lose their videos, and the gateway goes on billing the subscribers."
)


class Command(BaseCommand):
    help = (
        "Show the mode of the database's money (sandbox, test or live) and of the gateway; or end the"
        " present mode and begin another one. Without --confirm nothing is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("mode", nargs="?", choices=Mode.values, help="The mode to begin.")
        parser.add_argument(
            "--confirm", default="", help="Both modes, as this command shows: sandbox-to-live."
        )

    def handle(self, *args: object, mode: str | None, confirm: str, **options: object) -> None:
        present = modes.of_database()
        gateway = gateways.configured()
        self.stdout.write(f"The database: {present.label if present else 'unused, of no mode'}.")
        self.stdout.write(f"The gateway {gateway.name}: {gateways.mode_of(gateway).label}.")
        if not gateways.are_open():
            self.stdout.write("Payments are closed, because these are different.")
        if mode is None:
            return
        target = Mode(mode)
        if present == target:
            self.stdout.write("The database has this mode already. Nothing was changed.")
            return
        words = f"{present or 'unused'}-to-{target}"
        if confirm != words:
            self._show(present, words)
            if confirm:
                raise CommandError(f"Nothing was changed: --confirm must be {words}.")
            return
        if alive := list(WorkerPresence.objects.alive().values_list("name", flat=True)):
            raise CommandError(
                f"A worker is running ({', '.join(alive)}). Stop the service, its web processes too;"
                " wait for a minute, and repeat the command."
            )
        switching.switch(target)
        self.stdout.write(self.style.SUCCESS(f"The database has the mode {target} now."))
        if gateways.are_open():
            self.stdout.write("Run `manage.py verify_ledger` and start the service.")
        else:
            self.stdout.write("Set the gateway's keys of this mode before you start the service.")

    def _show(self, present: Mode | None, words: str) -> None:
        """Write what the switch would do, and how to go on."""
        if present == Mode.LIVE:
            self.stdout.write(self.style.ERROR(COPIES_ONLY))
        self.stdout.write("\nThe switch closes, in one transaction:")
        for what, number, fate in survey.holdings():
            self.stdout.write(f"  {number:>8}  {what}: {fate}")
        for line in survey.balances():
            self.stdout.write(f"  {line}: zero, by a journal entry")
        self.stdout.write(
            "Nothing is deleted, nobody gets a mail, and no gateway is called.\n\n"
            "Nothing was changed yet. Back up the database, stop the service (web and workers), and run:"
            f"\n  python manage.py payments_mode {words.rpartition('-')[2]} --confirm {words}"
        )
