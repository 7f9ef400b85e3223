from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.backends import forget_role_permissions
from accounts.models import User
from accounts.roles import PERMISSIONS, Role
from accounts.signals import seeding


class Command(BaseCommand):
    help = (
        "Create the roles with exactly their permissions, the administrator of"
        " DEFAULT_ADMIN_EMAIL and DEFAULT_ADMIN_PASSWORD, and the first plan. Safe to repeat."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        self.verbosity = options["verbosity"]
        self.seed_roles()
        self.seed_admin()
        for _, line in seeding.send(sender=type(self)):
            if line:
                self.say(line)

    def say(self, line: str) -> None:
        if self.verbosity:
            self.stdout.write(line)

    def seed_roles(self) -> None:
        """Give each role exactly its permissions. Raises CommandError for an unknown name."""
        known = {
            f"{permission.content_type.app_label}.{permission.codename}": permission
            for permission in Permission.objects.select_related("content_type")
        }
        for role, names in PERMISSIONS.items():
            if missing := names - known.keys():
                raise CommandError(
                    f"{role}: unknown permissions {sorted(missing)}. Correct accounts/roles.py."
                )
            group, created = Group.objects.get_or_create(name=role)
            group.permissions.set(known[name] for name in names)
            self.say(f"{role}: {'created' if created else 'up to date'}")
        forget_role_permissions()

    def seed_admin(self) -> None:
        """Create the first administrator unless the address is in use.

        Raises CommandError for a password that the API would refuse. The transaction of the command
        then leaves nothing behind, and the next run with a better password does everything.
        """
        email, password = settings.DEFAULT_ADMIN_EMAIL, settings.DEFAULT_ADMIN_PASSWORD
        if User.objects.with_address(email):
            self.say(f"Administrator {email}: up to date")
            return
        if not password:
            raise CommandError(
                "There is no administrator yet. Set DEFAULT_ADMIN_PASSWORD, and run seed again."
            )
        try:
            validate_password(password, User(email=email, display_name="Administrator"))
        except ValidationError as error:
            raise CommandError(
                "DEFAULT_ADMIN_PASSWORD is too easy to guess for the account that may do everything:"
                f" {' '.join(error.messages)} Set another one, such as the output of"
                " `openssl rand -base64 18`, and try again. Nothing was created."
            ) from None
        User.objects.create_user(
            email, password, role=Role.ADMIN, display_name="Administrator", email_verified=True
        )
        self.say(f"Administrator {email}: created")
