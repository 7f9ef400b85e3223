"""Notices that strangers guess the password of an account, so that its owner can be told."""

import hashlib
import time
from contextlib import suppress
from datetime import UTC, datetime

from django.core.cache import cache

from accounts import limits
from accounts.models import User
from accounts.signals import account_attacked, attacked_account_opened

MANY = 10  # wrong passwords in a day, from networks that the owner has never signed in from
DAY = 24 * 3600


def note_failure(email: str, *, network: str) -> None:
    """Count a wrong password; when there are MANY, send `account_attacked`, once a day at most.

    Unknown addresses are counted like known ones, so that the answer takes the same time. A typing error
    of the owner in a usual place does not count. Without an answer of the cache, nothing is counted.
    """
    if limits.is_known(email, network):
        return
    key = _key(email)
    cache.add(f"{key}:since", time.time(), DAY)
    for count in ("failures", "networks"):
        cache.add(f"{key}:{count}", 0, DAY)
    with suppress(ValueError):  # the day ended between two lines
        if cache.add(f"{key}:from:{network}", 1, DAY):
            cache.incr(f"{key}:networks")
        if cache.incr(f"{key}:failures") == MANY:
            _tell(email, key)


def note_success(user: User, *, network: str) -> None:
    """Send `attacked_account_opened` if one of those who guess may have found the password."""
    failures = cache.get(f"{_key(user.email)}:failures")
    if (failures or 0) >= MANY and not limits.is_known(user.email, network):
        now = datetime.now(UTC)
        attacked_account_opened.send_robust(sender=User, user=user, network=network, at=now)


def _tell(email: str, key: str) -> None:
    with suppress(User.DoesNotExist):
        user = User.objects.get_by_natural_key(email)
        since = datetime.fromtimestamp(cache.get(f"{key}:since") or time.time(), UTC)
        networks = cache.get(f"{key}:networks") or 1
        if user.is_active:
            account_attacked.send_robust(
                sender=User, user=user, failures=MANY, networks=networks, since=since
            )


def _key(email: str) -> str:
    """Return the beginning of an account's keys in the cache, without its address."""
    return (
        "attack:" + hashlib.sha256(limits.account_of(email).encode("utf-8", "replace")).hexdigest()
    )
