"""What exports and erasures do with the rows of this app (`config.personal`)."""

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session

from accounts.models import (
    ApiKey,
    Erasure,
    MailedLink,
    ProviderIdentity,
    RefreshFamily,
    SignInCode,
    Totp,
    User,
)
from config import personal
from config.personal import Fate, Person, Rows


def _erase_admin_log(person: Person) -> None:
    # The text of a row about the account is its e-mail address.
    about = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(user=person.user_id).delete()
    LogEntry.objects.filter(content_type=about, object_id=str(person.user_id)).delete()


def _erase_links(person: Person) -> None:
    MailedLink.objects.filter(user=person.user_id).delete()
    if person.email:  # the request for a forgotten password names no user
        MailedLink.objects.filter(email__iexact=person.email).delete()


def _end_sessions(person: Person) -> None:
    """Delete the person's sessions of the pages. Without a password they are not valid already."""
    for session in Session.objects.iterator(chunk_size=500):
        if session.get_decoded().get("_auth_user_id") == str(person.user_id):
            session.delete()


def _erase_user(person: Person) -> None:
    _end_sessions(person)


personal.register(
    Rows(
        User, "pk", "the account", Fate.ANONYMOUS,
        "Name, e-mail address and password go; a pseudonym stands in their place. The address is free.",
        "account",
        (
            "id", "email", "display_name", "role__name", "is_moderator", "email_verified",
            "created_at", "last_login", "suspended_at",
        ),
        _erase_user,
    ),
    Rows(
        RefreshFamily, "user", "sign-ins", Fate.REMOVED, "",
        "sign_ins",
        ("created_at", "rotated_at", "expires_at", "revoked_at", "network", "user_agent"),
    ),
    Rows(
        ApiKey, "user", "API keys", Fate.REMOVED, "Their names stay in audit entries.",
        "api_keys",
        ("id", "name", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"),
    ),
    Rows(
        Totp, "user", "the second factor", Fate.REMOVED, "With its recovery codes.",
        "second_factor", ("begun_at", "confirmed_at"),
    ),
    Rows(
        ProviderIdentity, "user", "accounts at other providers that sign in here", Fate.REMOVED, "",
        "identities", ("issuer", "subject", "created_at"),
    ),
    Rows(
        SignInCode, "user", "codes of sign-ins at other providers", Fate.REMOVED, "",
        "sign_in_codes", ("expires_at", "used_at"),
    ),
    Rows(
        MailedLink, "user", "mailed links", Fate.REMOVED, "",
        "mailed_links", ("purpose", "email", "created_at", "expires_at", "ended_at"), _erase_links,
    ),
    Rows(
        LogEntry, "user", "the old log of the admin site", Fate.REMOVED, "", erase=_erase_admin_log,
    ),
    Rows(
        Erasure, "user", "this erasure", Fate.KEPT,
        "When it was asked for and when it ended. Its copy of name and address goes last.",
    ),
    Rows(
        Erasure, "asked_by", "erasures that the person began for others", Fate.KEPT,
        "Who began them; the id alone.",
    ),
)  # fmt: skip
