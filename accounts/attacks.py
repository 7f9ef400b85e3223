"""Notices that strangers guess the password of an account, so that its owner can be told."""

import time
from contextlib import suppress
from datetime import UTC, datetime

from django.core.cache import cache

from accounts.models import RefreshFamily, User
from accounts.signals import account_attacked, attacked_account_opened

MANY = 10  # wrong passwords in a day, from networks that the owner has never signed in from
DAY = 24 * 3600


def note_failure(email: str, *, network: str) -> None:
    """Count a wrong password; when there are MANY, send `account_attacked`, once a day at most.

    A typing error of the owner in a usual place does not count. All unknown addresses are counted as
    one, so that the answer takes the same time as for a known one and strangers fill no storage. Without
    an answer of the cache, nothing is counted.
    """
    user = User.objects.with_address(email)
    if _is_usual(user, network):
        return
    key = _key(user)
    cache.add(f"{key}:since", time.time(), DAY)
    for count in ("failures", "networks"):
        cache.add(f"{key}:{count}", 0, DAY)
    with suppress(ValueError):  # the day ended between two lines
        failures = cache.incr(f"{key}:failures")
        if user is not None and failures > MANY:
            return
        if cache.add(f"{key}:from:{network if user else ''}", 1, DAY):
            cache.incr(f"{key}:networks")
        if user is not None and user.is_active and failures == MANY:
            account_attacked.send_robust(
                sender=User,
                user=user,
                failures=failures,
                networks=cache.get(f"{key}:networks") or 1,
                since=datetime.fromtimestamp(cache.get(f"{key}:since") or time.time(), UTC),
            )


def note_success(user: User, *, network: str) -> None:
    """Send `attacked_account_opened` if an attacker may have guessed the password."""
    if (cache.get(f"{_key(user)}:failures") or 0) >= MANY and not _is_usual(user, network):
        now = datetime.now(UTC)
        attacked_account_opened.send_robust(sender=User, user=user, network=network, at=now)


def _is_usual(user: User | None, network: str) -> bool:
    """Return whether the user has signed in from this network before."""
    return RefreshFamily.objects.filter(user=user, network=network).exists()


def _key(user: User | None) -> str:
    """Return the beginning of a user's keys in the cache."""
    return f"attack:{user.pk if user else 'nobody'}"
