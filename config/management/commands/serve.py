from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config import doctor, listening, supervisor

LINE = "-" * 72


class Command(BaseCommand):
    help = (
        "Migrate and seed the database, then start the web server and a worker, and restart each when"
        " it dies. Ctrl-C stops both, at any moment; the next start goes on from there."
    )
    requires_system_checks = []  # the tests run them, and they would cost a start a second

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--show-password",
            action="store_true",
            help="Show DEFAULT_ADMIN_PASSWORD, after `make run` has made it.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Replace this process by the supervisor. Ends before that if the same service already runs."""
        for process, port in supervisor.running(settings.DATA_DIR):
            if port == settings.PORT:
                self.say(
                    f"The service already runs on {listening.url()} (process {process}), with this data."
                    " There is nothing to start; Ctrl-C in its terminal stops it."
                )
                return
            self.say(
                f"Note: process {process} serves the same data on port {port}. Both work together;"
                f" if that is not what you want, stop one."
            )
        try:
            listening.bind(settings.HOST, settings.PORT).close()
        except listening.CannotListen as error:
            raise CommandError(str(error)) from None
        self.prepare_database()
        if options["show_password"]:
            self.say(
                f"{LINE}\nA new .env was written. The administrator's password is not shown again:\n"
                f"  e-mail    {settings.DEFAULT_ADMIN_EMAIL}\n"
                f"  password  {settings.DEFAULT_ADMIN_PASSWORD}\n{LINE}"
            )
        self.show_faults()
        self.say("Starting the web server and the worker …")
        supervisor.become(settings.DATA_DIR, settings.PORT)

    def show_faults(self) -> None:
        """Show the faults that the quick checks of `manage.py doctor` find."""
        faults = [
            found
            for examined in doctor.examine(at_start=True)
            for found in examined.findings
            if found.level != doctor.Level.OK
        ]
        for found in faults:
            self.say(f"{found.level.capitalize()}: {found.statement}\n  {found.remedy}")
        if faults:
            self.say("  `manage.py doctor` examines everything.")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def prepare_database(self) -> None:
        """Migrate and seed. Both change nothing that is up to date, and an interrupted one goes on."""
        executor = MigrationExecutor(connection)
        pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if pending:
            self.say(f"Migrating the database: {pending} steps …")
        call_command("migrate", interactive=False, verbosity=0)
        if pending:
            self.say("Seeding roles, the administrator and the first plan …")
        call_command("seed", verbosity=0)
        connection.close()
