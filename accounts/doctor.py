"""The checks of the administrators, for `manage.py doctor`."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts import oidc, totp
from accounts.errors import ProviderAway
from accounts.models import Erasure, RefreshFamily, Totp, User
from accounts.roles import Role
from config import emails
from config.doctor import Finding, check, error, ok, warning

IDLE = timedelta(days=180)
LATE = timedelta(hours=1)


@check("Secrets", "admin_password_strength", at_start=True)
def password_strength() -> Iterator[Finding]:
    """Check the password that `manage.py seed` gives to the first administrator."""
    password = settings.DEFAULT_ADMIN_PASSWORD
    if not password:
        return
    try:
        validate_password(password, User(email=settings.DEFAULT_ADMIN_EMAIL))
    except ValidationError as fault:
        yield error(
            f"DEFAULT_ADMIN_PASSWORD is weak: {' '.join(fault.messages)}",
            "Change the administrator's password (manage.py changepassword), and empty the setting.",
        )


@check("Users", "admin_password", needs_tables=True)
def password_in_use() -> Iterator[Finding]:
    password = settings.DEFAULT_ADMIN_PASSWORD
    email = emails.normal(settings.DEFAULT_ADMIN_EMAIL)
    user = User.objects.filter(email=email, is_active=True).first()
    if not password:
        yield ok("DEFAULT_ADMIN_PASSWORD is empty.")
    elif user and check_password(password, user.password):
        yield warning(
            f"The password of {email} stands in DEFAULT_ADMIN_PASSWORD, where others may read it.",
            f"python manage.py changepassword {email}, then empty the setting.",
        )
    else:
        yield ok("DEFAULT_ADMIN_PASSWORD is set, and is nobody's password any more.")


@check("Users", "second_factors", needs_tables=True)
def second_factors() -> Iterator[Finding]:
    total = Totp.objects.exclude(confirmed_at=None).count()
    unreadable = totp.unreadable() if total else 0
    if unreadable:
        yield error(
            f"No key opens the secrets of {unreadable} of {total} second factors, so that their owners"
            " come in by a recovery code alone.",
            "Add the former SECRET_KEY to SECRET_KEY_FALLBACKS, or `manage.py reset_totp` for each.",
        )
    else:
        yield ok(f"Second factors: {total}.")


@check("Users", "oidc")
def provider() -> Iterator[Finding]:
    """Ask the OpenID Connect provider for its description, as a sign-in does."""
    if not oidc.is_on():
        return
    oidc.forget()
    try:
        oidc.start()
    except ProviderAway as away:
        yield error(
            f"OIDC_ISSUER={settings.OIDC_ISSUER} cannot be used: {away.reason}.",
            "Open its /.well-known/openid-configuration from this machine, and write the issuer as it"
            " stands there.",
        )
    else:
        yield ok(f"Sign-in with {settings.OIDC_NAME}; redirect address: {oidc.redirect_uri()}")


@check("Users", "administrators", needs_tables=True)
def administrators() -> Iterator[Finding]:
    since = timezone.now() - IDLE
    active = User.objects.filter(role__name=Role.ADMIN, is_active=True)
    total = active.count()
    sign_ins = RefreshFamily.objects.filter(user=OuterRef("pk"))
    seen = Q(last_login__gte=since) | Q(
        Exists(sign_ins.filter(Q(created_at__gte=since) | Q(rotated_at__gte=since)))
    )
    idle = active.filter(created_at__lt=since).exclude(seen).count()
    if not total:
        yield error("There is no active administrator.", "python manage.py createsuperuser")
    elif idle:
        yield warning(
            f"{idle} of {total} administrators did not sign in for {IDLE.days} days.",
            "Deactivate those who left: PATCH /api/v1/users/{id}, or the admin site.",
        )
    else:
        yield ok(f"Active administrators: {total}.")


@check("Users", "erasures", needs_tables=True)
def erasures() -> Iterator[Finding]:
    """Check that the erasures of accounts end: a person must not be forgotten by half."""
    waiting = Erasure.objects.filter(finished_at=None)
    late = waiting.filter(asked_at__lt=timezone.now() - LATE).count()
    if late:
        yield warning(
            f"{late} erasures of accounts have not ended within {LATE.seconds // 3600} hour.",
            "Start a worker, or read in its log why they fail.",
        )
    else:
        yield ok(f"Erasures under way: {waiting.count()}.")
