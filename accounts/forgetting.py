"""Forgetting sign-ins, links and API keys that are over.

Each function deletes a bounded number of rows a call.
"""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import ApiKey, MailedLink, RefreshFamily, SignInCode, Totp
from accounts.totp import SETUP_LIFETIME
from config import batches

KEPT = timedelta(days=30)  # after the last token of a sign-in has expired
NETWORK_KEPT = timedelta(days=365)
LINKS_KEPT = timedelta(days=1)
KEYS_KEPT = timedelta(days=30)  # after an API key was revoked or has expired


def forget_old_sign_ins() -> int:
    """Delete the sign-ins that expired KEPT ago or earlier, and return how many. Safe to repeat.

    The newest one of a user from a network stays for NETWORK_KEPT: by it the network is known, and its
    owner is let in while strangers guess the password (`accounts.limits`).
    """
    now = timezone.now()
    newer = RefreshFamily.objects.filter(
        user=OuterRef("user"), network=OuterRef("network"), pk__gt=OuterRef("pk")
    )
    needless = Q(network="") | Q(expires_at__lt=now - NETWORK_KEPT) | Exists(newer)
    return batches.delete(RefreshFamily.objects.filter(needless, expires_at__lt=now - KEPT))


def forget_old_links() -> int:
    """Delete the mailed links that expired LINKS_KEPT ago, used or not, and return how many.

    Among them are requests that no worker took in time. Safe to repeat.
    """
    return batches.delete(MailedLink.objects.filter(expires_at__lt=timezone.now() - LINKS_KEPT))


def forget_old_keys() -> int:
    """Delete the API keys that are over since KEYS_KEPT, and return how many. Safe to repeat."""
    since = timezone.now() - KEYS_KEPT
    over = Q(revoked_at__lt=since) | Q(expires_at__lt=since)
    return batches.delete(ApiKey.objects.filter(over))


def forget_old_setups() -> int:
    """Delete the set-ups of second factors that nobody completed in time; return how many."""
    since = timezone.now() - SETUP_LIFETIME
    return batches.delete(Totp.objects.filter(confirmed_at=None, begun_at__lt=since))


def forget_old_codes() -> int:
    """Delete the codes of sign-ins at another provider that expired an hour ago; return how many."""
    since = timezone.now() - timedelta(hours=1)
    return batches.delete(SignInCode.objects.filter(expires_at__lt=since))


def forget_admin_sessions() -> int:
    """Delete the expired sessions of the admin site, and return how many. Safe to repeat."""
    return batches.delete(Session.objects.filter(expire_date__lt=timezone.now()))
