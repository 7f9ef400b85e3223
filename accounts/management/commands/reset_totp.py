from django.core.management.base import BaseCommand, CommandError

from accounts import totp
from accounts.models import User


class Command(BaseCommand):
    help = (
        "Take a user's second factor away, because the telephone and the recovery codes are lost. Make "
        "sure first that it is really the user who asks. The user is told by mail, and the audit log "
        "has it, without an actor."
    )

    def add_arguments(self, parser):
        parser.add_argument("email", help="the user's e-mail address")

    def handle(self, email: str, **options):
        user = User.objects.with_address(email)
        if user is None:
            raise CommandError(f"There is no user {email}. Nothing was changed.")
        if not totp.reset(user=user, actor=None):
            raise CommandError(f"{user.email} has no second factor. Nothing was changed.")
        self.stdout.write(f"{user.email} signs in with the password alone now.")
