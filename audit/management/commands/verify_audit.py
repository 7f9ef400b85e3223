from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import services
from audit.models import AuditEntry


class Command(BaseCommand):
    help = "Verify the hash chain of the audit log, and name the first entry that is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        while services.seal():
            pass
        if broken := services.first_broken_entry():
            raise CommandError(
                f"The audit log is broken at position {broken.position}: {broken.reason}."
            )
        count = AuditEntry.objects.count()
        self.stdout.write(self.style.SUCCESS(f"{count} entries, one unbroken chain."))
