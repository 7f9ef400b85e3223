from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import services
from accounts.errors import LastAdmin
from accounts.models import User
from accounts.roles import MODERATOR, Role


class Command(BaseCommand):
    help = (
        "Give a user another role (ADMIN, CREATOR or VIEWER), or appoint or dismiss a moderator, which "
        "anybody may be beside their role. The audit log has it, without an actor. The last active "
        "administrator keeps the role."
    )

    def add_arguments(self, parser):
        parser.add_argument("email", help="the user's e-mail address")
        parser.add_argument("role", nargs="?", choices=Role.values, help="the new role")
        moderator = parser.add_mutually_exclusive_group()
        moderator.add_argument(
            "--moderator", action="store_true", default=None, help="appoint a moderator"
        )
        moderator.add_argument(
            "--no-moderator", action="store_false", dest="moderator", help="dismiss a moderator"
        )

    @transaction.atomic
    def handle(self, email: str, role: str | None, moderator: bool | None, **options):
        if role is None and moderator is None:
            raise CommandError("Name a role, --moderator or --no-moderator.")
        user = User.objects.with_address(email)
        if user is None:
            raise CommandError(f"There is no user {email}. Nothing was changed.")
        try:
            if role is not None:
                user = services.set_role(user_id=user.pk, role=Role(role), actor=None)
        except LastAdmin as error:
            raise CommandError(f"{error.detail} Nothing was changed.") from None
        if moderator is not None:
            user = services.set_moderator(user_id=user.pk, is_moderator=moderator, actor=None)
        also = f" and {MODERATOR}" if user.is_moderator else ""
        self.stdout.write(f"{user.email} is {user.role_name}{also}.")
