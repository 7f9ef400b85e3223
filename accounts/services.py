"""All changes of accounts."""

import uuid

from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest
from rest_framework.exceptions import ValidationError

import audit.services as audit
from accounts import api_keys, attacks, limits, links, tokens, totp
from accounts.errors import (
    AccountErased,
    LastAdmin,
    TotpRefused,
    WrongCredentials,
    WrongPassword,
)
from accounts.models import Erasure, MailedLink, User
from accounts.roles import Role
from accounts.signals import moderator_dismissed, user_deactivated, user_registered
from audit import addresses
from audit.actions import AuditAction
from config.errors import NotVisible

EMAIL_TAKEN = "A user with this e-mail address already exists. Sign in, or use another address."


def register(*, email: str, password: str, display_name: str = "") -> User:
    """Create a VIEWER, who gets a mail to verify the address.

    Raises ValidationError (code ``unique``) if the address is in use.
    """
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, display_name=display_name)
            audit.record(actor=user, action=AuditAction.USER_REGISTERED, target=user)
            links.request(MailedLink.Purpose.VERIFY_EMAIL, email=user.email, user=user)
            user_registered.send(sender=User, user=user)
    except IntegrityError:
        raise ValidationError({"email": [EMAIL_TAKEN]}, code="unique") from None
    return user


def user_of(
    request: HttpRequest, *, email: str, password: str, code: str = "", only_staff: bool = False
) -> User:
    """Return the user with this address, password and second factor, for every door of the service.

    Counts the attempt (`accounts.limits`) and records a failure with the account that was tried, or with
    the keyed hash of an address that has none; the caller records the success, with what it makes of it
    (`record_sign_in`). A refusal takes the same time for unknown and known
    addresses, because Django's back end hashes the password in both cases. Raises RateLimited, and
    WrongCredentials, also for a user who is not staff where ``only_staff`` is set. Only the right
    password learns that there is a second factor, by TotpRequired, TotpRefused or TotpLocked
    (`accounts.totp.check`); a wrong ``code`` counts as a failure like a wrong password.
    """
    limits.count_attempt(request, email)
    user = authenticate(request, email=email, password=password)
    if not isinstance(user, User) or (only_staff and not user.is_staff):
        limits.count_failure(request, email)
        attacks.note_failure(email, network=limits.network_of(request))
        tried = User.objects.with_address(email) or addresses.named(email)
        audit.record(actor=None, action=AuditAction.LOGIN_FAILED, target=tried)
        raise WrongCredentials()
    pass_second_factor(request, user, code)
    attacks.note_success(user, network=limits.network_of(request))
    return user


def pass_second_factor(request: HttpRequest, user: User, code: str) -> None:
    """Ask for the user's second factor, and count and record a wrong code as a failed sign-in.

    Raises what `accounts.totp.check` raises.
    """
    try:
        totp.check(user, code)
    except TotpRefused:
        limits.count_failure(request, user.email)
        attacks.note_failure(user.email, network=limits.network_of(request))
        audit.record(actor=None, action=AuditAction.LOGIN_FAILED, target=user)
        raise


def record_sign_in(user: User) -> None:
    """Record that the user has signed in."""
    audit.record(actor=user, action=AuditAction.LOGIN_SUCCEEDED, target=user)


def sign_in(request: HttpRequest, *, email: str, password: str, code: str = "") -> tokens.Pair:
    """Return the first tokens of a new sign-in. Raises what `user_of` raises."""
    return open_sign_in(request, user_of(request, email=email, password=password, code=code))


def open_sign_in(request: HttpRequest, user: User) -> tokens.Pair:
    """Record that the user has signed in, and return the first tokens."""
    with transaction.atomic():
        record_sign_in(user)
        network, agent = limits.network_of(request), request.META.get("HTTP_USER_AGENT", "")
        return tokens.issue(user, network=network, user_agent=agent)


@transaction.atomic
def sign_out(*, refresh_token: str) -> None:
    """Revoke all tokens of one sign-in. Safe to repeat. Raises TokenInvalid and TokenExpired."""
    if user := tokens.end(refresh_token):
        audit.record(actor=user, action=AuditAction.LOGGED_OUT, target=user)


@transaction.atomic
def end_sign_in(*, user: User, sign_in_id: uuid.UUID) -> None:
    """Revoke all tokens of one live sign-in of the user. Raises NotVisible for every other id."""
    if not tokens.end_one(user, sign_in_id):
        raise NotVisible()
    audit.record(actor=user, action=AuditAction.LOGGED_OUT, target=user)


@transaction.atomic
def end_all_sign_ins(*, user: User) -> None:
    """Revoke all tokens and API keys of the user, also the token of this request. Safe to repeat."""
    tokens.end_all(user)
    api_keys.end_all(user)
    audit.record(actor=user, action=AuditAction.LOGGED_OUT_EVERYWHERE, target=user)


@transaction.atomic
def change_password(*, user: User, current_password: str, new_password: str) -> None:
    """Set a new password and revoke all tokens of the user. Raises WrongPassword."""
    if not user.check_password(current_password):
        raise WrongPassword()
    user.set_password(new_password)
    user.save(update_fields=["password"])  # which ends the sign-ins (accounts.passwords)


@transaction.atomic
def change_profile(
    *,
    user: User,
    display_name: str | None = None,
    embed_domains: list[str] | None = None,
    actor: User | None = None,
) -> User:
    """Set the display name, and the sites that may embed the user's videos; None leaves one as it is.

    ``actor`` is an administrator who does it for the user. The log has neither the old nor the new name:
    it is personal, and the log is kept.
    """
    changed: dict[str, dict[str, object]] = {}
    if display_name is not None:
        user.display_name = display_name
        changed["display_name"] = {}
    if embed_domains is not None and embed_domains != user.embed_domains:
        changed["embed_domains"] = {"before": user.embed_domains, "after": embed_domains}
        user.embed_domains = embed_domains
    if not changed:
        return user
    user.save(update_fields=list(changed))
    audit.record(
        actor=actor or user, action=AuditAction.PROFILE_CHANGED, target=user, changes=changed
    )
    return user


@transaction.atomic
def set_role(*, user_id: uuid.UUID, role: Role, actor: User | None) -> User:
    """Give a user another role. Safe to repeat.

    Raises NotVisible for an unknown user, and LastAdmin if no active administrator would remain.
    """
    user, admins = locked(user_id)
    if user.role_name == role:
        return user
    if admins == [user]:
        raise LastAdmin()
    before = user.role_name
    user.role = group_of(role)
    user.is_staff = role == Role.ADMIN or user.is_moderator
    user.save(update_fields=["role", "is_staff"])
    audit.record(
        actor=actor, action=AuditAction.ROLE_CHANGED, target=user, before=before, after=str(role)
    )
    return user


@transaction.atomic
def set_moderator(*, user_id: uuid.UUID, is_moderator: bool, actor: User | None) -> User:
    """Appoint or dismiss a moderator, who may open the admin site. Safe to repeat.

    A dismissal ends the playback at the moderators' desk.

    Raises NotVisible for an unknown user.
    """
    user, _ = locked(user_id)
    if user.is_moderator == is_moderator:
        return user
    user.is_moderator = is_moderator
    user.is_staff = is_moderator or user.role_name == Role.ADMIN
    user.save(update_fields=["is_moderator", "is_staff"])
    action = AuditAction.MODERATOR_APPOINTED if is_moderator else AuditAction.MODERATOR_DISMISSED
    audit.record(actor=actor, action=action, target=user)
    if not is_moderator:
        moderator_dismissed.send(sender=User, user=user)
    return user


@transaction.atomic
def set_active(*, user_id: uuid.UUID, is_active: bool, actor: User | None) -> User:
    """Activate or deactivate a user. Safe to repeat.

    A deactivation revokes all tokens and API keys, and ends all playback in the same transaction. It
    also takes the user's videos out of the catalogue, until the user is active again, and stops the
    renewal of the user's subscription, which only the user can resume (`accounts.signals`). Raises
    NotVisible for an unknown user, AccountErased for one who was erased, and LastAdmin if no active
    administrator would remain.
    """
    user, admins = locked(user_id)
    if user.is_active == is_active:
        return user
    if Erasure.objects.filter(user=user).exists():
        raise AccountErased()
    if not is_active and admins == [user]:
        raise LastAdmin()
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    action = AuditAction.USER_ACTIVATED if is_active else AuditAction.USER_DEACTIVATED
    audit.record(actor=actor, action=action, target=user)
    if not is_active:
        tokens.end_all(user)
        api_keys.end_all(user)
        links.end_all(user)
        user_deactivated.send(sender=User, user=user, actor=actor)
    return user


def group_of(role: str) -> Group:
    """Return the group of a role, which is created if it is missing."""
    return Group.objects.get_or_create(name=role)[0]


def locked(user_id: uuid.UUID) -> tuple[User, list[User]]:
    """Lock and return a user and all active administrators. Raises NotVisible.

    All rows are locked by one query and in one order. Two administrators who remove each other at the
    same time therefore wait for each other's transaction, without a deadlock. The query has no join:
    after a wait, PostgreSQL would check the locked row again, but not the joined rows.
    """
    admin_role = group_of(Role.ADMIN).pk
    is_admin = Q(role=admin_role, is_active=True)
    # NO KEY, because rows that name these users must not wait for this lock: a refund writes such rows
    # while it holds the buyer's playback sessions, which the deactivation of the buyer goes on to end.
    rows = User.objects.filter(Q(pk=user_id) | is_admin).order_by("pk")
    locked = list(rows.select_for_update(no_key=True))
    user = next((row for row in locked if row.pk == user_id), None)
    if user is None:
        raise NotVisible()
    return user, [row for row in locked if row.role_id == admin_role and row.is_active]
