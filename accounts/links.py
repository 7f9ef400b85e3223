"""Links that are mailed to people, each with a token for one use.

A token is the id of a `MailedLink` and its HMAC under a key of the service. It is made when a mail is
sent and is stored nowhere: whoever reads the database, or a stored mail, cannot make one.
"""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.errors import LinkInvalid
from accounts.models import MailedLink, User
from accounts.signals import address_in_use, link_requested
from config import ordered

Purpose = MailedLink.Purpose
LIFETIME = {
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.VERIFY_EMAIL: timedelta(days=3),
    Purpose.CHANGE_EMAIL: timedelta(days=3),
}
PAGES = {  # below /account/, of ACCOUNT_PAGES_URL or of this service (accounts.pages)
    Purpose.RESET_PASSWORD: "reset",
    Purpose.VERIFY_EMAIL: "verify",
    Purpose.CHANGE_EMAIL: "verify",
}
# Further requests are dropped, and the last link stays valid: strangers neither fill a mailbox nor
# replace the owner's link again and again.
MAILS_PER_HOUR = 3  # to one address, and for one user, of one purpose
BATCH = 50
TOKEN_CHARS = 64  # 48 bytes: the id and 32 bytes of HMAC


def request(purpose: Purpose, *, email: str, user: User | None = None) -> MailedLink:
    """Ask the worker to mail a link. Takes one INSERT, whoever has the address."""
    expires_at = timezone.now() + LIFETIME[purpose]
    return MailedLink.objects.create(purpose=purpose, email=email, user=user, expires_at=expires_at)


def prepare_due() -> int:
    """Have a mail written for each new request that is to have one; return how many were looked at.

    A request about an unknown address, an inactive user, or an address that got MAILS_PER_HOUR already,
    is deleted. A newer link ends the older ones of the same user and purpose. Safe to run in many
    processes: the request is taken by the one whose UPDATE marks it.
    """
    now = timezone.now()
    waiting = MailedLink.objects.filter(mailed_at=None, ended_at=None, expires_at__gt=now)
    batch = list(waiting.order_by("pk")[:BATCH])
    for link in batch:
        with transaction.atomic():
            user = _lock_user(link)
            if MailedLink.objects.filter(pk=link.pk, mailed_at=None, ended_at=None).update(
                mailed_at=now
            ):
                _prepare(link, user)
    return len(batch)


def _lock_user(link: MailedLink) -> User | None:
    """Lock and return the user of a request. A request that names no user has the user's address."""
    user_id = link.user_id
    if user_id is None:
        found = User.objects.with_address(link.email)
        user_id = found.pk if found else None
    return lock(user_id)


def lock(user_id: uuid.UUID | None) -> User | None:
    """Lock and return a user: before the links, in every transaction that has both."""
    if user_id is None:
        return None
    # NO KEY, for the reason that accounts.services.locked gives.
    return User.objects.select_for_update(no_key=True).filter(pk=user_id).first()


def _prepare(link: MailedLink, user: User | None) -> None:
    if user is None or not user.is_active or _is_needless(link, user):
        link.delete()
        return
    link.user, link.mailed_at = user, timezone.now()
    if link.purpose == Purpose.RESET_PASSWORD:
        link.email = user.email
    if _is_flooded(link):
        link.delete()
        return
    owner = User.objects.with_address(link.email) if link.purpose == Purpose.CHANGE_EMAIL else None
    if owner is not None and owner.pk != user.pk:
        # The row stays, because it counts as a mail to the address. Its token is sent to nobody.
        link.ended_at = link.mailed_at
        address_in_use.send(sender=MailedLink, user=owner, link=link)
    link.save()
    older = MailedLink.objects.filter(user=user, purpose=link.purpose, ended_at=None)
    ordered.update(older.exclude(Q(pk__gt=link.pk) | Q(pk=link.pk)), ended_at=link.mailed_at)
    link_requested.send(sender=MailedLink, user=user, link=link)


def _is_needless(link: MailedLink, user: User) -> bool:
    """Return whether a link would verify an address that is verified, or is the user's no more."""
    return link.purpose == Purpose.VERIFY_EMAIL and (
        user.email_verified or user.email != link.email
    )


def _is_flooded(link: MailedLink) -> bool:
    """Return whether the address, or the user, has got the links of this hour."""
    same = MailedLink.objects.filter(Q(email=link.email) | Q(user=link.user), purpose=link.purpose)
    since = timezone.now() - timedelta(hours=1)
    return same.filter(mailed_at__gt=since).exclude(pk=link.pk).count() >= MAILS_PER_HOUR


def token_of(link_id: uuid.UUID) -> str:
    """Return the token of a link. Only mails may hold it."""
    return base64.urlsafe_b64encode(link_id.bytes + _seal(link_id)).decode()


def url_of(link_id: uuid.UUID) -> str | None:
    """Return the address for a mail that is sent now, or None if the link is over.

    It begins with a setting and never with the Host header of a request. The token is in the fragment,
    which browsers send to no server.
    """
    link = _live().filter(pk=link_id).first()
    if link is None:
        return None
    home = settings.ACCOUNT_PAGES_URL or settings.PUBLIC_URL or f"http://localhost:{settings.PORT}"
    return f"{home}/account/{PAGES[Purpose(link.purpose)]}#token={token_of(link.pk)}"


def read(token: str, *purposes: Purpose) -> MailedLink:
    """Return the live link of a token, with its user, and change nothing. Raises LinkInvalid."""
    link_id = _verified(token)
    link = _live().select_related("user").filter(pk=link_id, purpose__in=purposes).first()
    if link is None or link.user is None or not link.user.is_active:
        raise LinkInvalid()
    return link


def use(link: MailedLink) -> None:
    """Use a link up. Of two calls with one link, one succeeds; the other raises LinkInvalid."""
    if not _live().filter(pk=link.pk).update(ended_at=timezone.now()):
        raise LinkInvalid()


def end_all(user: User, purposes: Iterable[Purpose] = tuple(Purpose)) -> None:
    """End the user's links of these purposes, also the links for which no mail was written yet."""
    live = MailedLink.objects.filter(user=user, purpose__in=list(purposes), ended_at=None)
    ordered.update(live, ended_at=timezone.now())


def _live() -> QuerySet[MailedLink]:
    """Return the links that were mailed and can be used."""
    now = timezone.now()
    return MailedLink.objects.filter(mailed_at__isnull=False, ended_at=None, expires_at__gt=now)


def _seal(link_id: uuid.UUID) -> bytes:
    return hmac.digest(settings.MAILED_LINK_KEY, link_id.bytes, hashlib.sha256)


def _verified(token: str) -> uuid.UUID:
    """Return the id in a token, without a query. Raises LinkInvalid."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise LinkInvalid() from None
    if len(token) != TOKEN_CHARS or len(raw) != 48:
        raise LinkInvalid()
    link_id = uuid.UUID(bytes=raw[:16])
    if not hmac.compare_digest(raw[16:], _seal(link_id)):
        raise LinkInvalid()
    return link_id
