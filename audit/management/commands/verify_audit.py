from django.core.management.base import BaseCommand, CommandError

from audit import services
from audit.models import AuditEntry


class Command(BaseCommand):
    help = "Prove the audit log: walk its hash chain and name the first entry that does not fit."

    def handle(self, *args, **options):
        while services.seal():
            pass
        if broken := services.first_broken_entry():
            raise CommandError(f"The audit log is broken at position {broken[0]}: {broken[1]}.")
        count = AuditEntry.objects.count()
        self.stdout.write(self.style.SUCCESS(f"{count} entries, one unbroken chain."))
