from django.core.management.base import BaseCommand, CommandError

from config.management.progress import progress
from payments.books import verification


class Command(BaseCommand):
    help = (
        "Check that the books balance, that they follow from each payment's facts, and that orders"
        " and entitlements agree with them. Exits with 1 when something differs."
    )

    def handle(self, *args: object, **options: object) -> None:
        with progress("payments") as show:
            check = verification.verify_ledger(on_step=show)
        took = f"{check.payments} payments in {check.seconds:.1f} s"
        if not check.discrepancies:
            self.stdout.write(f"The books are right: {took}.")
            return
        for line in check.first_discrepancies:
            self.stderr.write(line)
        if (more := check.discrepancies - len(check.first_discrepancies)) > 0:
            self.stderr.write(f"and {more} more")
        raise CommandError(f"{check.discrepancies} discrepancies in {took}.")
