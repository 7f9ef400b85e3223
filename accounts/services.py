"""Everything that changes an account."""

import uuid

from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q
from rest_framework.exceptions import ValidationError

import audit.services as audit
from accounts import tokens
from accounts.errors import LastAdmin, WrongCredentials, WrongPassword
from accounts.models import User, normal_email
from accounts.roles import MODERATOR, Role
from accounts.signals import user_deactivated
from audit.actions import AuditAction
from config.errors import NotVisible


def register(*, email: str, password: str, display_name: str = "") -> User:
    """A new VIEWER. Raises ValidationError (``unique``) when the address is taken."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, display_name=display_name)
            audit.record(actor=user, action=AuditAction.USER_REGISTERED, target=user)
    except IntegrityError:
        raise email_taken() from None
    return user


def email_taken() -> ValidationError:
    return ValidationError({"email": ["A user with this e-mail already exists."]}, code="unique")


def sign_in(*, email: str, password: str) -> tokens.Pair:
    """Tokens for the right e-mail and password.

    Raises WrongCredentials, in the same time whether or not the address exists: Django's back end
    hashes the password in either case.
    """
    user = authenticate(email=normal_email(email), password=password)
    with transaction.atomic():
        if user is not None:
            pair = tokens.issue(user)
            audit.record(actor=user, action=AuditAction.LOGIN_SUCCEEDED, target=user)
            return pair
        audit.record(actor=None, action=AuditAction.LOGIN_FAILED)
    raise WrongCredentials()


@transaction.atomic
def sign_out(*, refresh_token: str) -> None:
    if user := tokens.end(refresh_token):
        audit.record(actor=user, action=AuditAction.LOGGED_OUT, target=user)


@transaction.atomic
def change_password(*, user: User, current_password: str, new_password: str) -> None:
    """Set a new password; every token the user has dies with the old one."""
    if not user.check_password(current_password):
        raise WrongPassword()
    user.set_password(new_password)
    user.save(update_fields=["password"])
    tokens.end_all(user)
    audit.record(actor=user, action=AuditAction.PASSWORD_CHANGED, target=user)


@transaction.atomic
def change_profile(*, user: User, display_name: str) -> User:
    user.display_name = display_name
    user.save(update_fields=["display_name"])
    audit.record(actor=user, action=AuditAction.PROFILE_CHANGED, target=user)
    return user


@transaction.atomic
def set_role(*, user_id: uuid.UUID, role: Role, actor: User | None) -> User:
    """Give a user one role. Raises LastAdmin when that would leave no active administrator."""
    user, admins = _locked(user_id)
    if user.role_name == role:
        return user
    if admins == [user]:
        raise LastAdmin()
    before = user.role_name
    user.role, _ = Group.objects.get_or_create(name=role)
    user.is_staff = role == Role.ADMIN or user.groups.filter(name=MODERATOR).exists()
    user.save(update_fields=["role", "is_staff"])
    audit.record(
        actor=actor, action=AuditAction.ROLE_CHANGED, target=user, before=before, after=str(role)
    )
    return user


@transaction.atomic
def set_active(*, user_id: uuid.UUID, is_active: bool, actor: User | None) -> User:
    """Let a user in, or put them out: tokens and playback end in the same transaction."""
    user, admins = _locked(user_id)
    if user.is_active == is_active:
        return user
    if not is_active and admins == [user]:
        raise LastAdmin()
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    action = AuditAction.USER_ACTIVATED if is_active else AuditAction.USER_DEACTIVATED
    audit.record(actor=actor, action=action, target=user)
    if not is_active:
        tokens.end_all(user)
        user_deactivated.send(sender=User, user=user)
    return user


def _locked(user_id: uuid.UUID) -> tuple[User, list[User]]:
    """A user and all active administrators, their rows locked.

    All at once and in one order: two who remove each other queue up here, and neither waits for
    what the other holds. Without a join, whose rows PostgreSQL would not look at again after the
    wait.
    """
    admin_role = Group.objects.get(name=Role.ADMIN).pk
    is_admin = Q(role=admin_role, is_active=True)
    # NO KEY, because rows that name these users must not wait for this lock: a refund writes such rows
    # while it holds the buyer's playback sessions, which the deactivation of the buyer goes on to end.
    rows = User.objects.filter(Q(pk=user_id) | is_admin).order_by("pk")
    rows = rows.select_for_update(no_key=True)
    found = list(rows)
    user = next((row for row in found if row.pk == user_id), None)
    if user is None:
        raise NotVisible()
    return user, [row for row in found if row.role_id == admin_role and row.is_active]
