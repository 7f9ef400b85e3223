"""Records API activity: who, what, status, duration, request id."""

import ipaddress
import time

from django.conf import settings

from audit import buffer
from audit.actions import AuditAction
from audit.context import Origin, reset_origin, set_origin
from audit.models import AuditEntry
from config.http import mask_secrets, request_id

_RECORDED = "/api/v1/"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def _address(text: str) -> str | None:
    """None for what is no address: a proxy may hand on anything, and a log that holds it is stuck."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


class ActivityMiddleware:
    """Opens the audit context for every request, and keeps one entry of each API request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        path = mask_secrets(request.path)[:500].replace("\x00", "\ufffd")
        origin = Origin(
            method=request.method[:10],
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
    def keep(request, response, origin: Origin, seconds: float) -> None:
        # The API framework has set the user it authenticated; the admin site's session is not asked.
        user = request.__dict__.get("user")
        signed_in = user is not None and getattr(user, "is_authenticated", False)
        buffer.put(
            AuditEntry(
                actor_id=user.pk if signed_in else None,
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
