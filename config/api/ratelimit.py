"""Requests a minute, counted over all processes by django-ratelimit in the shared cache."""

from dataclasses import dataclass

from django.conf import settings
from django_ratelimit.core import get_usage
from rest_framework import exceptions
from rest_framework.request import Request

from config.errors import ServiceUnavailable


@dataclass(frozen=True, slots=True)
class Usage:
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers-03, section 3."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class RateLimited(exceptions.Throttled):
    """429, with the seconds to wait."""

    def __init__(self, usage: Usage):
        super().__init__(wait=usage.reset_seconds)
        self.usage = usage


def count(request: Request, *, group: str, key: str) -> Usage | None:
    """Count one request of ``key`` in ``group``; None when the group has no limit.

    Raises RateLimited over the limit. When the cache is away, authentication is refused (503) and
    everything else goes on: a dead cache must neither open the door nor close the house.
    """
    limit = settings.RATE_LIMITS[group]
    if limit == 0:
        return None
    usage = get_usage(request, group=group, key=lambda *_: key, rate=f"{limit}/m", increment=True)
    if usage is None:
        return None
    if usage["limit"] == 0:  # the cache could not tell
        if group == "auth":
            raise ServiceUnavailable()
        return None
    counted = Usage(
        limit=limit,
        remaining=max(0, limit - usage["count"]),
        reset_seconds=max(1, usage["time_left"]),
    )
    if usage["should_limit"]:
        raise RateLimited(counted)
    return counted
