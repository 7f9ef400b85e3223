"""The rate limit of pages: the admin site, the documentation, checkout pages, and unknown addresses.

Views of the API count their requests themselves (`config.api.views`), and so do webhooks.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from config import addresses
from config.api import ratelimit
from config.error_pages import answer

View = Callable[..., HttpResponseBase]


def without_page_limit(view: View) -> View:
    """Mark a view that must always answer, or has a limit of its own."""
    view.without_page_limit = True  # type: ignore[attr-defined]  # a mark on a function
    return view


class PageLimitMiddleware:
    """Counts requests of pages by user, or by network without a sign-in, before the page's own work."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.resolver_match is None:  # an unknown address, which cost nothing so far
            return _refusal(request) or response
        return response

    def process_view(
        self, request: HttpRequest, view: View, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Return a 429 when the limit is reached."""
        counted = hasattr(getattr(view, "cls", None), "rate_group")
        return None if counted or hasattr(view, "without_page_limit") else _refusal(request)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Count one request of a page. Return a 429 over the limit, else None."""
    user = getattr(request, "user", None)  # pages under /api/v1/ read no session
    network = addresses.network(request.META.get("REMOTE_ADDR", ""))
    caller = user.pk if user is not None and user.is_authenticated else network
    try:
        ratelimit.count(request, group="default", key=f"pages:{caller}")
    except ratelimit.RateLimited as limited:
        seconds = limited.usage.reset_seconds
        detail = f"Too many pages were asked for in this minute. Try again in {seconds} seconds."
        response = answer(request, 429, "throttled", detail)
        for name, value in limited.usage.headers().items():
            response[name] = value
        response["Retry-After"] = str(seconds)
        return response
    return None
