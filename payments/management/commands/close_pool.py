from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.errors import DomainError
from config.money import to_text
from payments.periods import Month
from payments.services.sharing import pools


class Command(BaseCommand):
    help = (
        "Close a calendar month (UTC): recognise its invoices, share its pools among creators and"
        " write their statements. Safe to repeat: a month that is already closed is only shown."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("period", help="The month, as YYYY-MM.")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Show the shares of closing now, and write nothing.",
        )

    def handle(self, *args: object, period: str, dry_run: bool, **options: object) -> None:
        try:
            month = Month.named(period)
            closings = pools.close_month(month, dry_run=dry_run, on_step=self.stderr.write)
        except (ValueError, DomainError) as error:
            raise CommandError(str(error)) from None
        if not closings:
            self.stdout.write(f"{month}: there is nothing to close.")
        for closing in closings:
            pool = closing.pool
            amount, balance = (
                f"{to_text(minor, pool.currency)} {pool.currency}"
                for minor in (pool.amount, pool.balance)
            )
            would = " would be" if not closing.is_stored else ""
            self.stdout.write(
                f"{month}: {amount} of {balance}{would} shared among {len(closing.shares)} creators"
                f" by {pool.total_seconds} s ({pool.algorithm}, {pool.input_sha256[:12]})"
            )
