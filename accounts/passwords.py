"""The rules for a new password, and the end of all sign-ins after each change of a password."""

import unicodedata

from django.contrib.auth import password_validation
from django.contrib.auth.base_user import AbstractBaseUser

import audit.services as audit
from accounts import api_keys, links, precis, tokens
from accounts.models import MailedLink, User
from audit.actions import AuditAction
from audit.context import origin


class LongEnough(password_validation.MinimumLengthValidator):
    """Refuses a password without a normal form, and counts the characters of that form."""

    def validate(self, password: str, user: User | None = None) -> None:
        super().validate(precis.opaque_string(password), user)


class NotSimilar(password_validation.UserAttributeSimilarityValidator):
    """Compares as a person who guesses would: without full-width and other variants of a letter."""

    def validate(self, password: str, user: User | None = None) -> None:
        super().validate(_plain(password), user)


class NotCommon(password_validation.CommonPasswordValidator):
    """Compares like `NotSimilar`."""

    def validate(self, password: str, user: User | None = None) -> None:
        super().validate(_plain(password), user)


class NotOnlyDigits(password_validation.NumericPasswordValidator):
    """Compares like `NotSimilar`."""

    def validate(self, password: str, user: User | None = None) -> None:
        super().validate(_plain(password), user)


class EndsSignIns:
    """Revokes all tokens and API keys of a user with a new password, and records the change.

    It also ends the mailed links that set another password or another address: whoever asked for them
    may be the reason for the new password. A link that verifies the present address stays, because it
    gives no rights.

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
        api_keys.end_all(user)
        links.end_all(user, (MailedLink.Purpose.RESET_PASSWORD, MailedLink.Purpose.CHANGE_EMAIL))
        # In a request, people change their own password. At the shell, the person is not known.
        actor = user if origin().path else None
        audit.record(actor=actor, action=AuditAction.PASSWORD_CHANGED, target=user)


def _plain(password: str) -> str:
    """Return the password without variants of a letter, such as full-width ones (NFKC).

    The end of a password that is too long anyway (`LongEnough`) is left out.
    """
    return unicodedata.normalize("NFKC", password[: precis.SENT_MAX])
