from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from payments.services.gateway_news import reconciliation


class Command(BaseCommand):
    help = (
        "Ask the gateways for everything that may have changed and was missed, and put it right."
        " Safe to repeat. Exits with 1 when a gateway could not answer."
    )

    def add_arguments(self, parser):
        parser.add_argument("--hours", type=int, default=48, help="How far to look back.")

    def handle(self, *args, hours: int, verbosity: int, **options):
        if hours < 1:
            raise CommandError("Look back at least one hour.")
        found = reconciliation.reconcile(
            timezone.now() - timedelta(hours=hours),
            on_step=self.stdout.write if verbosity > 1 else lambda text: None,
        )
        for line in found.changed:
            self.stdout.write(f"put right: {line}")
        for line in found.failed:
            self.stderr.write(f"failed: {line}")
        self.stdout.write(f"{found.looked_at} looked at, {len(found.changed)} put right.")
        if found.failed:
            raise CommandError(f"{len(found.failed)} could not be looked at.")
