"""Limits of sign-ins: against guessing, without locking the owner of an account out."""

from django.http import HttpRequest

from accounts.models import RefreshFamily, normal_email
from config import addresses
from config.api import ratelimit

GROUP = "auth"


def count_attempt(request: HttpRequest, email: str) -> None:
    """Count one attempt to sign in, before the password is checked. Raises RateLimited.

    Attempts are counted by account and network together, so that a stranger cannot use up the attempts
    of the owner. When an account has had too many failures from all networks together, only networks
    from which its owner has signed in before may try.
    """
    network, account = network_of(request), normal_email(email)
    ratelimit.count(request, group=GROUP, key=f"account:{account}|{network}")
    failures = _failures(request, account, increment=False)
    if failures is not None and failures.remaining == 0 and not _is_known(account, network):
        raise ratelimit.RateLimited(failures)


def network_of(request: HttpRequest) -> str:
    """Return the network of a request, as sign-ins remember it."""
    return addresses.network(request.META.get("REMOTE_ADDR", ""))


def count_failure(request: HttpRequest, email: str) -> None:
    """Count a sign-in with a wrong password."""
    _failures(request, normal_email(email), increment=True)


def _failures(request: HttpRequest, account: str, *, increment: bool) -> ratelimit.Usage | None:
    """Return how many failures of the account are left in this minute; None without a limit."""
    key = f"failures:{account}"
    return ratelimit.usage_of(request, group=GROUP, key=key, increment=increment)


def _is_known(account: str, network: str) -> bool:
    """Return whether the account's owner has signed in from this network before."""
    return RefreshFamily.objects.filter(user__email=account, network=network).exists()
