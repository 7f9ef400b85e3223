"""Requests for a new password or another address, and the use of the links that are mailed for them."""

from django.db import IntegrityError, transaction
from django.http import HttpRequest

import audit.services as audit
from accounts import limits, links
from accounts.errors import AlreadyVerified, EmailTaken, LinkInvalid, WrongPassword
from accounts.models import MailedLink, User
from accounts.signals import email_changed, password_reset
from audit.actions import AuditAction

Purpose = MailedLink.Purpose


def ask_for_reset(request: HttpRequest, *, email: str) -> None:
    """Store a request for a new password of the account with this address. Raises RateLimited.

    Nothing is read about the address: the same two rows are written for known addresses, unknown ones
    and those of deactivated users, and the worker finds out who it is.
    """
    limits.count_request(request, email)
    with transaction.atomic():
        links.request(Purpose.RESET_PASSWORD, email=email)
        audit.record(actor=None, action=AuditAction.PASSWORD_RESET_ASKED)


def owner_of(token: str) -> User:
    """Return the user who may set a new password with this token, still unused. Raises LinkInvalid."""
    link = links.read(token, Purpose.RESET_PASSWORD)
    assert link.user is not None  # noqa: S101 - links.read
    return link.user


@transaction.atomic
def reset_password(*, token: str, new_password: str) -> None:
    """Set a new password, which ends all sign-ins and all links of the user. Raises LinkInvalid.

    The mailbox is the user's, so its address is verified, too.
    """
    link, user = _take(token, Purpose.RESET_PASSWORD)
    user.set_password(new_password)
    user.email_verified = True
    user.save(update_fields=["password", "email_verified"])  # ends sign-ins (accounts.passwords)
    links.end_all(user)
    audit.record(actor=user, action=AuditAction.PASSWORD_RESET, target=user)
    password_reset.send(sender=User, user=user, link=link)


@transaction.atomic
def verify_email(*, token: str) -> None:
    """Verify the address that the token was mailed to, or change the user's address to it.

    Raises LinkInvalid, and EmailTaken if another account has got the address since; the link can then
    be used when the address is free.
    """
    link, user = _take(token, Purpose.VERIFY_EMAIL, Purpose.CHANGE_EMAIL)
    before, user.email, user.email_verified = user.email, link.email, True
    if link.purpose == Purpose.VERIFY_EMAIL:
        if before != link.email:
            raise LinkInvalid()
        user.save(update_fields=["email_verified"])
        links.end_all(user, [Purpose.VERIFY_EMAIL])
        audit.record(actor=user, action=AuditAction.EMAIL_VERIFIED, target=user)
        return
    holder = User.objects.with_address(link.email)
    if holder is not None and holder.pk != user.pk:
        raise EmailTaken()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified"])
    except IntegrityError:
        raise EmailTaken() from None
    links.end_all(user)
    audit.record(actor=user, action=AuditAction.EMAIL_CHANGED, target=user)
    email_changed.send(sender=User, user=user, before=before, link=link)


@transaction.atomic
def ask_again(*, user: User) -> None:
    """Ask for another link to verify the user's present address. Raises AlreadyVerified.

    A change of address is asked for again with the password: an answer about it here would tell whether
    the new address has an account.
    """
    if user.email_verified:
        raise AlreadyVerified()
    links.request(Purpose.VERIFY_EMAIL, email=user.email, user=user)
    audit.record(actor=user, action=AuditAction.EMAIL_LINK_ASKED, target=user)


@transaction.atomic
def ask_for_change(*, user: User, email: str, current_password: str) -> None:
    """Ask for the user's address to be ``email``, once its link is followed. Raises WrongPassword.

    The worker tells both addresses. One that has an account already is told so, and the user is not.
    """
    if not user.check_password(current_password):
        raise WrongPassword()
    links.request(Purpose.CHANGE_EMAIL, email=email, user=user)
    audit.record(actor=user, action=AuditAction.EMAIL_CHANGE_ASKED, target=user)


def _take(token: str, *purposes: Purpose) -> tuple[MailedLink, User]:
    """Use a token up, with its user locked. Raises LinkInvalid."""
    link = links.read(token, *purposes)
    user = links.lock(link.user_id)
    if user is None or not user.is_active:
        raise LinkInvalid()
    links.use(link)
    return link, user
