from django.core.management.base import BaseCommand

from config.money import to_text
from payments.management.progress import progress
from payments.services.payouts import payouts


class Command(BaseCommand):
    help = (
        "Make a payout, to be approved, for every creator and currency that reaches PAYOUT_MINIMUM"
        " and has none under way. Safe to repeat, and to run twice at once."
    )

    def handle(self, *args, **options):
        with progress("creators") as show:
            made = payouts.run(on_step=show)
        for payout in made:
            amount = f"{to_text(payout.amount, payout.currency)} {payout.currency}"
            self.stdout.write(f"{payout.pk}  {amount}  for {payout.creator_id}")
        self.stdout.write(f"{len(made)} payouts wait for approval.")
