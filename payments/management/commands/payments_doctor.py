from django.core.management.base import BaseCommand, CommandError

from payments import doctor, gateways


class Command(BaseCommand):
    help = "Check the configuration of the payment gateway. Exits with 1 when something is wrong."

    def handle(self, *args: object, **options: object) -> None:
        gateway = gateways.configured()
        self.stdout.write(f"Payments through {gateway.name}")
        failures = 0
        for passed, subject, remedy in doctor.examine(gateway):
            failures += not passed
            line = f"✓ {subject}" if passed else f"✗ {subject}: no. {remedy}"
            self.stdout.write(self.style.SUCCESS(line) if passed else self.style.ERROR(line))
        if failures:
            raise CommandError(f"{failures} checks failed.")
