"""The account of a person who comes from the OpenID Connect provider."""

import hashlib
import secrets
import uuid
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

import audit.services as audit
from accounts import limits, links, services, tokens, totp
from accounts.errors import CodeInvalid, LastSignIn, SignInRefused
from accounts.models import ProviderIdentity, SignInCode, User
from accounts.oidc import Person
from accounts.signals import identity_linked, identity_unlinked, user_registered
from audit.actions import AuditAction
from config import emails
from config.errors import NotVisible
from config.texts import validate_name

CODE_LIFETIME = timedelta(minutes=1)
# A user with a second factor looks for the telephone first. The code alone opens nothing then.
CODE_LIFETIME_WITH_FACTOR = timedelta(minutes=5)


def user_of(person: Person) -> User:
    """Return the active user of a person: known, linked by the address, or created as a VIEWER.

    An account is linked if both sides have verified the same address: otherwise whoever registers an
    address that is not theirs would own the account of its owner, or the other way round. Safe to
    repeat, also twice at once. Raises SignInRefused.
    """
    try:
        with transaction.atomic():
            return _user_of(person)
    except IntegrityError:  # the same person at the same moment
        with transaction.atomic():
            return _user_of(person)


def hand_over(user: User) -> str:
    """Return a code with which a client of the API gets the user's tokens, once and soon."""
    code = secrets.token_urlsafe(32)
    lasts = CODE_LIFETIME_WITH_FACTOR if totp.is_on(user) else CODE_LIFETIME
    SignInCode.objects.create(digest=_digest(code), user=user, expires_at=timezone.now() + lasts)
    return code


def exchange(request: HttpRequest, *, handed: str, code: str = "") -> tokens.Pair:
    """Return the first tokens for a handed code, and use the code up.

    ``code`` is that of the second factor; without it, or with a wrong one, the handed code stays good.
    Raises CodeInvalid, RateLimited, and what `accounts.totp.check` raises.
    """
    live = SignInCode.objects.filter(
        digest=_digest(handed), used_at=None, expires_at__gt=timezone.now()
    )
    row = live.select_related("user__role").first()
    if row is None or not row.user.is_active:
        raise CodeInvalid()
    limits.count_attempt(request, row.user.email)
    services.pass_second_factor(request, row.user, code)
    with transaction.atomic():
        if not live.update(used_at=timezone.now()):
            raise CodeInvalid()
        return services.open_sign_in(request, row.user)


def of_user(user: User) -> QuerySet[ProviderIdentity]:
    """Return the accounts at providers that open the user's account."""
    return ProviderIdentity.objects.filter(user=user)


def unlink(
    request: HttpRequest,
    *,
    user: User,
    identity_id: uuid.UUID,
    current_password: str,
    code: str = "",
) -> None:
    """End that an account at a provider opens the user's account. The user is told by mail.

    Sign-ins that are open stay open. Whoever signs in at the provider later, with the same address
    verified on both sides, is linked again, and the user is told. Wrong passwords and codes count
    against the limits of sign-ins. Raises RateLimited, NotVisible for an identity that is unknown or of
    another user, LastSignIn without a password, WrongPassword, TotpWrong and TotpLocked.
    """
    limits.count_attempt(request, user.email)
    if not of_user(user).filter(pk=identity_id).exists():
        raise NotVisible()
    if not user.has_usable_password():
        raise LastSignIn()
    totp.prove_owner(request, user, current_password=current_password, code=code)
    with transaction.atomic():
        links.lock(user.pk)
        identity = of_user(user).filter(pk=identity_id).first()
        if identity is None:  # two calls at once
            raise NotVisible()
        identity.delete()
        SignInCode.objects.filter(
            user=user
        ).delete()  # handed over for a sign-in that came this way
        audit.record(
            actor=user, action=AuditAction.IDENTITY_UNLINKED, target=user, issuer=identity.issuer
        )
        identity_unlinked.send(sender=ProviderIdentity, user=user, identity_id=identity_id)


def name_of(issuer: str) -> str:
    """Return the name of a provider: OIDC_NAME, or the address of one that is not used any more."""
    return settings.OIDC_NAME if issuer == settings.OIDC_ISSUER else issuer


def _user_of(person: Person) -> User:
    known = ProviderIdentity.objects.select_related("user__role").filter(
        issuer=person.issuer, subject=person.subject
    )
    identity = known.first()
    if identity is not None:
        return _active(identity.user)
    email = _address(person)
    found = User.objects.with_address(email)
    if found is None:
        return _create(person, email)
    user = links.lock(found.pk) or found
    _active(user)
    if not user.email_verified:
        raise SignInRefused(
            "An account here has your address, and nobody has verified it. Sign in with its password,"
            " or set a new one by mail, and try again."
        )
    linked = ProviderIdentity.objects.filter(user=user, issuer=person.issuer).first()
    if linked is not None and linked.subject == person.subject:
        return user  # linked or created by a sign-in at the same moment
    if linked is not None:
        raise SignInRefused(
            f"The account with your address is linked to another person at {settings.OIDC_NAME}."
        )
    identity = ProviderIdentity.objects.create(
        user=user, issuer=person.issuer, subject=person.subject
    )
    audit.record(actor=user, action=AuditAction.IDENTITY_LINKED, target=user)
    identity_linked.send(sender=ProviderIdentity, user=user, identity=identity)
    return user


def _active(user: User) -> User:
    if not user.is_active:
        raise SignInRefused("Your account here was deactivated.")
    return user


def _address(person: Person) -> str:
    """Return the address in the form in which it is stored. Raises SignInRefused."""
    if not person.email:
        raise SignInRefused(
            f"{settings.OIDC_NAME} has not verified your e-mail address, or does not tell it. Verify it"
            " there, and try again."
        )
    try:
        return emails.normal(person.email)
    except ValidationError:
        raise SignInRefused("Your e-mail address cannot be used here.") from None


def _create(person: Person, email: str) -> User:
    try:
        validate_name(person.name)
        name = person.name
    except ValidationError:
        name = ""
    user = User.objects.create_user(email, None, display_name=name, email_verified=True)
    ProviderIdentity.objects.create(user=user, issuer=person.issuer, subject=person.subject)
    audit.record(actor=user, action=AuditAction.USER_REGISTERED, target=user)
    user_registered.send(sender=User, user=user)
    return user


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
