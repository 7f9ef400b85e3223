from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.models import Pool
from payments.periods import Month
from payments.services.sharing import pools


class Command(BaseCommand):
    help = (
        "Recompute a closed month from the ledger and the watch time, and compare its shares, their"
        " hash and every statement, byte for byte. Exits with 1 when something differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("period", help="The month, as YYYY-MM.")

    def handle(self, *args: object, period: str, **options: object) -> None:
        try:
            month = Month.named(period)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if not Pool.objects.filter(period=str(month)).exists():
            raise CommandError(
                f"{month} has not been closed, so there is nothing to verify. `manage.py close_pool"
                f" {month}` closes it."
            )
        discrepancies = pools.verify_month(month)
        for line in discrepancies:
            self.stderr.write(line)
        if discrepancies:
            raise CommandError(f"{month}: {len(discrepancies)} discrepancies.")
        self.stdout.write(
            f"{month}: all shares and statements match the ledger and the watch time."
        )
