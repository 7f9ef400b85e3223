"""Mails about the password and the address of an account. `sending` puts the links in."""

from django.conf import settings

from accounts.models import MailedLink, ProviderIdentity, User
from payments.services.notices.writing import LINK, write

Purpose = MailedLink.Purpose
_ONCE = "The link works once, and for {time}. A newer mail replaces it. Pass it on to nobody.\n\n"


def write_link(user: User, link: MailedLink) -> None:
    """Write the mail with a link; for a change of address, also one to the present address.

    A link that has ended already, because the new address has an account, is not mailed.
    """
    key = f"link:{link.pk}"
    if link.purpose == Purpose.RESET_PASSWORD:
        _write_reset(user, link, key)
    elif link.purpose == Purpose.VERIFY_EMAIL:
        _write_verification(user, link, key)
    else:
        if link.ended_at is None:
            _write_change(user, link, key)
        write(
            user,
            "Your address is to be changed",
            "Somebody who is signed in to your account and knows its password asked for another address"
            " than this one. It counts when the link that we sent there is followed; until then nothing"
            " changes.\n\n"
            "If this was you, there is nothing to do. If not, set a new password now: that ends all"
            " sign-ins, and the change.\n",
            dedupe_key=f"{key}:present",
            address=user.email,
        )


def _write_reset(user: User, link: MailedLink, key: str) -> None:
    write(
        user,
        "Set a new password",
        f"Somebody asked for a new password for your account ({user.readable_email}). To set one, open"
        f" this page:\n\n{LINK}\n\n"
        + _ONCE.format(time="an hour")
        + "If this was not you, there is nothing to do: your password stays as it is.\n",
        dedupe_key=key,
        address=link.email,
        link_id=link.pk,
    )


def _write_verification(user: User, link: MailedLink, key: str) -> None:
    write(
        user,
        "Please verify your address",
        f"An account was made with your address ({user.readable_email}). To say that it is yours, open"
        f" this page:\n\n{LINK}\n\n"
        + _ONCE.format(time="three days")
        + "If you have made no account, do not open it.\n",
        dedupe_key=key,
        address=link.email,
        link_id=link.pk,
    )


def _write_change(user: User, link: MailedLink, key: str) -> None:
    write(
        user,
        "Please verify your new address",
        f"Somebody asked to use this address for their account. To make it the account's address, open"
        f" this page:\n\n{LINK}\n\n"
        + _ONCE.format(time="three days")
        + "If this was not you, do not open it, and nothing changes.\n",
        dedupe_key=key,
        address=link.email,
        link_id=link.pk,
    )


def write_address_in_use(owner: User, link: MailedLink) -> None:
    """Write to the owner of an address that a user of another account asked to change to."""
    write(
        owner,
        "Your address has an account already",
        "Somebody asked to use this address for another account. It belongs to yours, so nothing was"
        " changed. If this was you, change the address of this account first.\n",
        dedupe_key=f"link:{link.pk}:in-use",
    )


def write_address_changed(user: User, before: str, link: MailedLink) -> None:
    """Write to the address that a user had until now. It does not name the new one."""
    write(
        user,
        "Your address was changed",
        "Your account has another address now, and this one no longer opens it. If this was not you,"
        " write to us at once: answer this mail.\n",
        dedupe_key=f"link:{link.pk}:former",
        address=before,
    )


def write_password_reset(user: User, link: MailedLink) -> None:
    """Write that a mailed link has set a new password."""
    write(
        user,
        "Your password was changed",
        f"A new password was set for your account ({user.readable_email}) with a link that we had mailed"
        " to you, and all sign-ins were ended. If this was not you, somebody reads your mail: secure"
        " your mailbox first, then ask for a new password again.\n",
        dedupe_key=f"link:{link.pk}:used",
    )


def write_second_factor(user: User, what: str, key: str) -> None:
    """Write that a second factor was turned on or off, taken away, used without its app, or guessed.

    ``what`` is as in `accounts.signals.second_factor_changed`.
    """
    subject, text = _SECOND_FACTOR[what]
    write(
        user,
        subject,
        f"Your account ({user.readable_email}): {text}\n",
        dedupe_key=f"totp {what}:{key}"[:200],
    )


def write_linked_identity(user: User, identity: ProviderIdentity) -> None:
    """Write that an account at another provider opens the user's account from now on."""
    write(
        user,
        f"You can sign in with {settings.OIDC_NAME}",
        f"Your account ({user.readable_email}) was linked to the one with the same address at"
        f" {settings.OIDC_NAME}: both open it from now on.\n\n"
        "If this was not you, secure your account there, and answer this mail.\n",
        dedupe_key=f"identity:{identity.pk}",
    )


_SECOND_FACTOR = {
    "on": (
        "Your second factor is on",
        "signing in now needs a code of your app, too. Keep the recovery codes where you find them"
        " without your telephone.\n\n"
        "If this was not you, somebody is signed in to your account: set a new password now, and answer"
        " this mail, so that we take the second factor away.",
    ),
    "off": (
        "Your second factor is off",
        "signing in needs the password alone from now on, and the recovery codes no longer work.\n\n"
        "If this was not you, somebody knows your password and has your telephone or a recovery code:"
        " set a new password now.",
    ),
    "reset": (
        "Your second factor was taken away",
        "we have turned the second factor off. Signing in needs the password alone until you set a new"
        " one up.\n\n"
        "If you did not ask for this, set a new password now, and answer this mail.",
    ),
    "recovery code used": (
        "A recovery code was used",
        "a recovery code was used in place of a code of your app. It does not work again. When few are"
        " left, turn the second factor off and on again: that gives you ten new ones.\n\n"
        "If this was not you, set a new password now, and turn the second factor off and on again.",
    ),
    "guessed": (
        "Somebody knows your password",
        "somebody sent several wrong codes of your second factor with the right password. They are not"
        " in, and must wait longer after each further code; a recovery code lets you in at once.\n\n"
        "If this was not you, set a new password now.",
    ),
}
