from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import erasing, services
from accounts.errors import LastAdmin, MoneyMoving, MoneyOwed
from accounts.models import User
from config import ids, personal, reasons
from config.personal import Fate

REFUSALS = (LastAdmin, MoneyMoving, MoneyOwed)


class Command(BaseCommand):
    help = (
        "Erase a user's account: name, address, access, videos and whatever else tells of the person. "
        "Books and the audit log keep an id. It cannot be undone. --dry-run changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="the user's e-mail address, or id")
        parser.add_argument(
            "--reason", required=True, help="why; the audit log keeps it, so no names"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, user: str, reason: str, **options: Any) -> None:
        row = self._found(user)
        self.stdout.write(f"{row.email} ({row.pk}), {row.role_name}:")
        kept = []
        for entry in personal.entries():
            if number := entry.of(row.pk).count():
                kept += [entry.what] if entry.fate == Fate.KEPT else []
                self.stdout.write(f"  {entry.fate:<10} {number:>7} {entry.what}")
        try:
            with transaction.atomic():
                erasing.check(*services.locked(row.pk))
        except REFUSALS as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from None
        if options["dry_run"]:
            self.stdout.write("Nothing was changed.")
            return
        if not options["yes"] and input(f'Type "{row.email}" to erase this account: ') != row.email:
            raise CommandError("Nothing was changed.")
        try:
            with reasons.because(reason):
                erasure = erasing.begin(user_id=row.pk, actor=None)
                erasing.finish(erasure)
        except REFUSALS as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from None
        self.stdout.write(
            f"Erased. Kept with the id {row.pk}: {', '.join(kept) or 'audit entries'}."
        )

    @staticmethod
    def _found(text: str) -> User:
        found: User | None
        try:
            found = User.objects.filter(pk=ids.parse(text)).first()
        except ValueError:
            found = User.objects.with_address(text)
        if found is None:
            raise CommandError(f"There is no user {text}. Nothing was changed.")
        return found
