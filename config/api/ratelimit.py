"""Rate limits: requests a minute, counted by django-ratelimit in the cache that all processes share."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage  # type: ignore[import-untyped]  # ships no types
from rest_framework import exceptions

from config.errors import ServiceUnavailable


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of a rate limit in the current minute, including this request."""

    limit: int
    remaining: int
    reset_seconds: int
    is_over: bool = False

    def headers(self) -> dict[str, str]:
        """Return the response headers of draft-ietf-httpapi-ratelimit-headers-03, section 3."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class RateLimited(exceptions.Throttled):
    """A 429 with the seconds to wait."""

    def __init__(self, usage: Usage) -> None:
        super().__init__(wait=usage.reset_seconds)
        self.usage = usage


def count(request: HttpRequest, *, group: str, key: str) -> Usage | None:
    """Count one request of ``key`` in ``group`` of RATE_LIMITS. None if the group has no limit.

    Raises RateLimited over the limit. If the cache is unreachable, requests of the group "auth" are
    refused with ServiceUnavailable, because passwords could be guessed without a limit; requests of
    other groups are not counted and get None.
    """
    usage = usage_of(request, group=group, key=key, increment=True)
    if usage is not None and usage.is_over:
        raise RateLimited(usage)
    return usage


def usage_of(request: HttpRequest, *, group: str, key: str, increment: bool) -> Usage | None:
    """Return the use of a limit, with or without counting this request. Otherwise as `count`."""
    limit = settings.RATE_LIMITS[group]
    if limit == 0:
        return None
    usage = get_usage(
        request, group=group, key=lambda *_: key, rate=f"{limit}/m", increment=increment
    )
    if usage is None:
        return None
    if usage["limit"] == 0:  # django-ratelimit's sign that the cache did not answer
        if group == "auth":
            raise ServiceUnavailable()
        return None
    return Usage(
        limit=limit,
        remaining=max(0, limit - usage["count"]),
        reset_seconds=max(1, usage["time_left"]),
        is_over=usage["should_limit"],
    )
