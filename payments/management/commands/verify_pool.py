from django.core.management.base import BaseCommand, CommandError

from payments.periods import Month
from payments.services.sharing import pools


class Command(BaseCommand):
    help = (
        "Compute a closed month again, from the ledger and what was watched: shares, their hash and"
        " every statement, byte for byte. Exits with 1 when something differs."
    )

    def add_arguments(self, parser):
        parser.add_argument("period", help="YYYY-MM")

    def handle(self, *args, period: str, **options):
        try:
            month = Month.named(period)
        except ValueError as error:
            raise CommandError(str(error)) from None
        found = pools.verify_month(month)
        for line in found:
            self.stderr.write(line)
        if found:
            raise CommandError(f"{month}: {len(found)} discrepancies.")
        self.stdout.write(f"{month}: all shares and statements are as they were computed.")
