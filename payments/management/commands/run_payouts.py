from django.core.management.base import BaseCommand, CommandError

from config.management.progress import progress
from config.money import to_text
from payments.errors import PaymentsClosed
from payments.services.payouts import payouts


class Command(BaseCommand):
    help = (
        "Create a payout for every creator and currency that reaches PAYOUT_MINIMUM and has no payout"
        " under way; each must be approved. Safe to repeat, and to run twice at once."
    )

    def handle(self, *args: object, **options: object) -> None:
        try:
            with progress("creators") as show:
                created = payouts.run(on_step=show)
        except PaymentsClosed as error:
            raise CommandError(str(error)) from None
        for payout in created:
            amount = f"{to_text(payout.amount, payout.currency)} {payout.currency}"
            self.stdout.write(f"{payout.pk}  {amount}  for {payout.creator_id}")
        if created:
            self.stdout.write(f"{len(created)} new payouts wait for approval.")
        else:
            self.stdout.write(
                "No new payout: no creator without a payout under way has reached PAYOUT_MINIMUM."
            )
