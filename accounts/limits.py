"""Limits of sign-ins: against guessing, without locking the owner of an account out."""

from django.http import HttpRequest

from accounts.models import RefreshFamily
from config import addresses, emails
from config.api import ratelimit

GROUP = "auth"


def count_attempt(request: HttpRequest, email: str) -> None:
    """Count one attempt to sign in, before the password is checked. Raises RateLimited.

    Attempts are counted by account and network together, so that a stranger cannot use up the attempts
    of the owner. When an account has had too many failures from all networks together, only networks
    from which its owner has signed in before may try.
    """
    network = network_of(request)
    count_request(request, email)
    failures = _failures(request, email, increment=False)
    if failures is not None and failures.remaining == 0 and not _is_known(email, network):
        raise ratelimit.RateLimited(failures)


def count_request(request: HttpRequest, email: str) -> None:
    """Count one request about an account from a network. Raises RateLimited. Reads no account."""
    key = f"account:{_account(email)}|{network_of(request)}"
    ratelimit.count(request, group=GROUP, key=key)


def network_of(request: HttpRequest) -> str:
    """Return the network of a request, as sign-ins remember it."""
    return addresses.network(request.META.get("REMOTE_ADDR", ""))


def count_failure(request: HttpRequest, email: str) -> None:
    """Count a sign-in with a wrong password."""
    _failures(request, email, increment=True)


def _account(email: str) -> str:
    """Return the text by which attempts at an account are counted, however its address is written."""
    return emails.stored_forms(email)[-1]


def _failures(request: HttpRequest, email: str, *, increment: bool) -> ratelimit.Usage | None:
    """Return how many failures of the account are left in this minute; None without a limit."""
    key = f"failures:{_account(email)}"
    return ratelimit.usage_of(request, group=GROUP, key=key, increment=increment)


def _is_known(email: str, network: str) -> bool:
    """Return whether the account's owner has signed in from this network before."""
    forms = emails.stored_forms(email)
    return RefreshFamily.objects.filter(user__email__in=forms, network=network).exists()
