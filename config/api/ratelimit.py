"""Rate limits: requests a minute, counted in the cache that all processes share."""

import hashlib
import time
import zlib
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from rest_framework import exceptions

from config.errors import ServiceUnavailable

SECONDS = 60  # of a window


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
    used, reset_seconds = requests_in_window(group, limit, key, increment=increment)
    if used is None:  # the cache did not answer
        if group == "auth":
            raise ServiceUnavailable()
        return None
    return Usage(
        limit=limit,
        remaining=max(0, limit - used),
        reset_seconds=max(1, reset_seconds),
        is_over=used > limit,
    )


def requests_in_window(
    group: str, limit: int, key: str, *, increment: bool
) -> tuple[int | None, int]:
    """Return the requests of ``key`` in the current window, and the seconds that are left of it.

    ``increment`` counts one more. The number is None if the cache is away. A limit that is changed
    begins a new count.
    """
    end = window_end(key)
    text = f"{group}{limit}/{SECONDS}s{key}{end}"
    name = f"rl:{hashlib.sha256(text.encode()).hexdigest()}"
    lasts = SECONDS + 5  # the clocks of two hosts may differ
    used = cache.count(name, lasts) if increment else cache.get(name, 0)  # type: ignore[attr-defined]  # config.cache
    return used, end - int(time.time())


def window_end(key: str) -> int:
    """Return the second in which the current window of a key ends; keys have different ones.

    Otherwise all counts would begin anew at the same moment.
    """
    now = int(time.time())
    end = now - now % SECONDS + zlib.crc32(key.encode()) % SECONDS
    return end if end >= now else end + SECONDS
