"""Mails about the password and the address of an account. `sending` puts the links in."""

from uuid import UUID

from django.conf import settings

from accounts.models import MailedLink, ProviderIdentity, User
from config.templatetags.mails import LINK
from payments.services.notices.writing import MAILS, write_mail

Purpose = MailedLink.Purpose


def write_link(user: User, link: MailedLink) -> None:
    """Write the mail with a link; for a change of address, also one to the present address.

    A link that has ended already, because the new address has an account, is not mailed.
    """
    key = f"link:{link.pk}"
    if link.purpose == Purpose.RESET_PASSWORD:
        _write_with_link("reset_password", user, link, key)
    elif link.purpose == Purpose.VERIFY_EMAIL:
        _write_with_link("verify_email", user, link, key)
    else:
        if link.ended_at is None:
            _write_with_link("verify_new_email", user, link, key)
        write_mail(
            user,
            f"{MAILS}/email_change_asked.html",
            dedupe_key=f"{key}:present",
            address=user.email,
        )


def _write_with_link(template: str, user: User, link: MailedLink, key: str) -> None:
    write_mail(
        user,
        f"{MAILS}/{template}.html",
        dedupe_key=key,
        address=link.email,
        link_id=link.pk,
        link=LINK,
        email=user.readable_email,
    )


def write_address_in_use(owner: User, link: MailedLink) -> None:
    """Write to the owner of an address that a user of another account asked to change to."""
    write_mail(owner, f"{MAILS}/email_in_use.html", dedupe_key=f"link:{link.pk}:in-use")


def write_address_changed(user: User, before: str, link: MailedLink) -> None:
    """Write to the address that a user had until now. It does not name the new one."""
    write_mail(
        user,
        f"{MAILS}/email_changed.html",
        dedupe_key=f"link:{link.pk}:former",
        address=before,
    )


def write_password_reset(user: User, link: MailedLink) -> None:
    """Write that a mailed link has set a new password."""
    write_mail(
        user,
        f"{MAILS}/password_changed.html",
        dedupe_key=f"link:{link.pk}:used",
        email=user.readable_email,
    )


def write_second_factor(user: User, what: str, key: str) -> None:
    """Write that a second factor was turned on or off, taken away, used without its app, or guessed.

    ``what`` is as in `accounts.signals.second_factor_changed`.
    """
    write_mail(
        user,
        f"{MAILS}/second_factor.html",
        dedupe_key=f"totp {what}:{key}"[:200],
        email=user.readable_email,
        what=what,
    )


def write_unlinked_identity(user: User, identity_id: UUID) -> None:
    """Write that an account at another provider opens the user's account no longer."""
    write_mail(
        user,
        f"{MAILS}/unlinked_identity.html",
        dedupe_key=f"unlinked:{identity_id}",
        email=user.readable_email,
        provider=settings.OIDC_NAME,
    )


def write_linked_identity(user: User, identity: ProviderIdentity) -> None:
    """Write that an account at another provider opens the user's account from now on."""
    write_mail(
        user,
        f"{MAILS}/linked_identity.html",
        dedupe_key=f"identity:{identity.pk}",
        email=user.readable_email,
        provider=settings.OIDC_NAME,
    )
