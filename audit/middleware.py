"""The recording of API requests in the audit log."""

import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from audit import buffer
from audit.context import Origin, reset_origin, set_origin, via_key
from audit.tally import Call
from config import addresses
from config.http import mask_secrets, route_name
from config.log_context import request_id

_RECORDED = "/api/v1/"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_PATH_MAX = 200  # characters of a recorded request; audit entries have more room


def _address(text: str) -> str | None:
    """Return an IP address, or None for any other text, which the database would refuse."""
    address = addresses.parse(text)
    return None if address is None else str(address)


class ActivityMiddleware:
    """Sets the origin for `audit.services.record`, and records each request under /api/v1/.

    With AUDIT_READS = false, requests that only read are not recorded; with AUDIT_ACTIVITY_DAYS = 0, no
    request is. Which are listed and which are counted is decided in `audit.tally`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = mask_secrets(request.path)[:500].replace("\x00", "\ufffd")
        origin = Origin(
            method=(request.method or "")[:10],
            path=path,
            ip=_address(request.META.get("REMOTE_ADDR", "")),
            user_agent=mask_secrets(request.META.get("HTTP_USER_AGENT", ""))[:300].replace(
                "\x00", ""
            ),
            request_id=request_id.get(),
        )
        token = set_origin(origin)
        via_key.set(None)
        started = time.perf_counter()
        try:
            response = self.get_response(request)
        finally:
            reset_origin(token)
            via_key.set(None)
        if path.startswith(_RECORDED) and _is_wanted(origin.method):
            self.keep(request, response, origin, time.perf_counter() - started)
        return response

    @staticmethod
    def keep(
        request: HttpRequest, response: HttpResponseBase, origin: Origin, seconds: float
    ) -> None:
        match = request.resolver_match
        view = getattr(match.func, "cls", None) if match else None
        buffer.put(
            Call(
                actor_id=_actor_id(request),
                ip=origin.ip,
                user_agent=origin.user_agent,
                method=origin.method,
                path=origin.path[:_PATH_MAX],
                route=route_name(match.route) if match else "",
                status=response.status_code,
                duration_ms=round(seconds * 1000),
                request_id=origin.request_id,
                is_frequent=getattr(view, "is_frequent", False),
            )
        )


def _is_wanted(method: str) -> bool:
    return settings.AUDIT_ACTIVITY_DAYS > 0 and (settings.AUDIT_READS or method not in _READS)


def _actor_id(request: HttpRequest) -> uuid.UUID | None:
    # An API view has set request.user to the user of the token, or has named the caller itself. Without
    # a view it is the user of the session, or it is missing.
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return user.pk
    return getattr(request, "caller_id", None)
