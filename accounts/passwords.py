"""What follows from a new password, whichever way it was set."""

from django.contrib.auth.base_user import AbstractBaseUser

import audit.services as audit
from accounts import tokens
from accounts.models import User
from audit.actions import AuditAction
from audit.context import origin


class EndsSignIns:
    """Revokes all tokens of a user with a new password, and records the change.

    One of AUTH_PASSWORD_VALIDATORS: Django calls ``password_changed`` wherever a password is set and
    saved, in the API, in the admin site and by `manage.py changepassword`. It is not called when only
    the hash of the same password is renewed.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Accept every password; the other validators judge it."""

    def get_help_text(self) -> str:
        return "A new password ends all sign-ins of the user."

    def password_changed(self, password: str, user: AbstractBaseUser | None = None) -> None:
        if not isinstance(user, User):
            return
        tokens.end_all(user)
        # In a request, people change their own password. At the shell, the person is not known.
        actor = user if origin().path else None
        audit.record(actor=actor, action=AuditAction.PASSWORD_CHANGED, target=user)
