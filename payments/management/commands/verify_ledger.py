from django.core.management.base import BaseCommand, CommandError

from payments.books import verification
from payments.management.progress import progress


class Command(BaseCommand):
    help = (
        "Check that the books balance and follow from every payment's facts, and the rights to"
        " watch from the books. Exits with 1 when something differs."
    )

    def handle(self, *args, **options):
        with progress("payments") as show:
            check = verification.verify_ledger(on_step=show)
        took = f"{check.payments} payments in {check.seconds:.1f} s"
        if not check.discrepancies:
            self.stdout.write(f"The books are right: {took}.")
            return
        for line in check.found:
            self.stderr.write(line)
        if (more := check.discrepancies - len(check.found)) > 0:
            self.stderr.write(f"and {more} more")
        raise CommandError(f"{check.discrepancies} discrepancies in {took}.")
