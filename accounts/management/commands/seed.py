"""Roles, the first administrator, and whatever other apps need to begin."""

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.backends import forget_role_permissions
from accounts.models import User, normal_email
from accounts.roles import PERMISSIONS, Role
from accounts.signals import seeding


class Command(BaseCommand):
    help = (
        "Create the roles with exactly their permissions, the administrator of"
        " DEFAULT_ADMIN_EMAIL and DEFAULT_ADMIN_PASSWORD, and the first plan. Safe to repeat."
    )

    @transaction.atomic
    def handle(self, *args, **options):
        self.verbosity = options["verbosity"]
        self.seed_roles()
        self.seed_admin()
        for _, line in seeding.send(sender=type(self)):
            self.say(line)

    def say(self, line: str):
        if self.verbosity:
            self.stdout.write(line)

    def seed_roles(self):
        known = {
            f"{permission.content_type.app_label}.{permission.codename}": permission
            for permission in Permission.objects.select_related("content_type")
        }
        for role, names in PERMISSIONS.items():
            if missing := names - known.keys():
                raise CommandError(f"{role}: unknown permissions {sorted(missing)}.")
            group, created = Group.objects.get_or_create(name=role)
            group.permissions.set(known[name] for name in names)
            self.say(f"{role}: {'created' if created else 'up to date'}")
        forget_role_permissions()

    def seed_admin(self):
        email, password = settings.DEFAULT_ADMIN_EMAIL, settings.DEFAULT_ADMIN_PASSWORD
        if User.objects.filter(email=normal_email(email)).exists():
            self.say(f"Administrator {email}: up to date")
            return
        if not password:
            raise CommandError("DEFAULT_ADMIN_PASSWORD must be set: there is no administrator yet.")
        try:
            validate_password(password, User(email=email))
        except ValidationError as error:
            # The operator chose it: said loudly, not refused.
            self.stderr.write(
                self.style.WARNING(f"DEFAULT_ADMIN_PASSWORD is weak: {error.messages}")
            )
        User.objects.create_user(email, password, role=Role.ADMIN, display_name="Administrator")
        self.say(f"Administrator {email}: created")
