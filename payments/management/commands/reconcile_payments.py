from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from payments.errors import PaymentsClosed
from payments.services.gateway_news import reconciliation

HOURS_MAX = 24 * 366


class Command(BaseCommand):
    help = (
        "Ask the gateways for all recent changes, and correct what webhook events have missed."
        " Safe to repeat. Exits with 1 when a gateway does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hours", type=int, default=48, help="Hours to look back, 48 by default."
        )

    def handle(self, *args: object, hours: int, verbosity: int, **options: object) -> None:
        if not 1 <= hours <= HOURS_MAX:
            raise CommandError(f"--hours must be from 1 to {HOURS_MAX}, not {hours}.")
        try:
            result = reconciliation.reconcile(
                timezone.now() - timedelta(hours=hours),
                on_step=self.stdout.write if verbosity > 1 else lambda text: None,
            )
        except PaymentsClosed as error:
            raise CommandError(str(error)) from None
        for line in result.changed:
            self.stdout.write(f"corrected: {line}")
        for line in result.failed:
            self.stderr.write(f"failed: {line}")
        self.stdout.write(f"{result.looked_at} checked, {len(result.changed)} corrected.")
        if result.failed:
            raise CommandError(f"{len(result.failed)} could not be checked.")
