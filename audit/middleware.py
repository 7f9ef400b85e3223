"""The recording of API requests in the audit log."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from audit import buffer
from audit.actions import AuditAction
from audit.context import Origin, reset_origin, set_origin
from audit.models import AuditEntry
from config import addresses
from config.http import mask_secrets, request_id

_RECORDED = "/api/v1/"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def _address(text: str) -> str | None:
    """Return an IP address, or None for any other text, which the database would refuse."""
    address = addresses.parse(text)
    return None if address is None else str(address)


class ActivityMiddleware:
    """Sets the origin for `audit.services.record`, and records each request under /api/v1/.

    With AUDIT_READS = false, requests that only read are not recorded.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = mask_secrets(request.path)[:500].replace("\x00", "\ufffd")
        origin = Origin(
            method=(request.method or "")[:10],
            path=path,
            ip=_address(request.META.get("REMOTE_ADDR", "")),
            user_agent=request.headers.get("User-Agent", "")[:300].replace("\x00", ""),
            request_id=request_id.get(),
        )
        token = set_origin(origin)
        started = time.perf_counter()
        try:
            response = self.get_response(request)
        finally:
            reset_origin(token)
        if path.startswith(_RECORDED) and (settings.AUDIT_READS or request.method not in _READS):
            self.keep(request, response, origin, time.perf_counter() - started)
        return response

    @staticmethod
    def keep(
        request: HttpRequest, response: HttpResponseBase, origin: Origin, seconds: float
    ) -> None:
        # An API view has set request.user to the user of the token. Without a view it is the user of
        # the session, or it is missing.
        user = getattr(request, "user", None)
        buffer.put(
            AuditEntry(
                actor_id=user.pk if user is not None and user.is_authenticated else None,
                action=AuditAction.API_REQUEST,
                method=origin.method,
                path=origin.path,
                status=response.status_code,
                ip=origin.ip,
                user_agent=origin.user_agent,
                request_id=origin.request_id,
                duration_ms=round(seconds * 1000),
            )
        )
