"""What every request passes: its id, transport security, one-line logs."""

import ipaddress
import logging
import re
from contextvars import ContextVar

from django.http import HttpResponse, JsonResponse
from django.http.request import split_domain_port
from django.middleware.security import SecurityMiddleware

from config.ids import uuid7

request_id: ContextVar[str] = ContextVar("request_id", default="-")
_SANE_ID = re.compile(r"[A-Za-z0-9._:\-]{8,128}")


class RequestIdMiddleware:
    """Names every request. The client's own ``X-Request-ID`` is kept when it is a sane one."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request.headers.get("X-Request-ID", "")
        request.id = given if _SANE_ID.fullmatch(given) else uuid7().hex
        token = request_id.set(request.id)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = request.id
        return response


class TransportSecurityMiddleware(SecurityMiddleware):
    """Django's security headers, with two rules of our own about plain HTTP.

    * The loopback address is served over plain HTTP: what does not cross a network needs no TLS.
    * An API call over plain HTTP is refused instead of redirected: a redirect would come after the
      password or token has crossed the network in the clear (ASVS 5.0, 4.1.2).
    """

    def process_request(self, request):
        if not self.redirect or request.is_secure() or is_loopback(request):
            return None
        if request.path.startswith("/api/"):
            return error_response(403, "https_required", "Use https:// to reach this service.")
        if request.path.startswith("/health/"):
            return None
        return super().process_request(request)


def is_loopback(request) -> bool:
    """True when both ends of the connection, and the name asked for, are this machine."""
    host = split_domain_port(request.META.get("HTTP_HOST", ""))[0].strip("[]")
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
        named = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
    return peer.is_loopback and named


def error_body(status: int, code: str, detail: str, attr: str | None = None) -> dict:
    """The one error body, for answers made outside the API framework."""
    kind = "server_error" if status >= 500 else "client_error"
    return {"type": kind, "errors": [{"code": code, "detail": detail, "attr": attr}]}


def error_response(status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse(error_body(status, code, detail), status=status)


class RequestIdFilter(logging.Filter):
    def filter(self, record):
        record.request_id = request_id.get()
        return True


_SECRET_IN_PATH = re.compile(r"(/media/|/stream/play/|/sandbox/checkout/)[^/\s\"?]+")


def mask_secrets(text: str) -> str:
    """A grant or token in a path is a key to a video or a checkout: logs show only that it was there."""
    return _SECRET_IN_PATH.sub(r"\1***", text)


class OneLineFormatter(logging.Formatter):
    """One record, one line: what a client sent cannot write a line of its own."""

    def format(self, record):
        line = super().format(record)
        masked = mask_secrets(line)
        return masked.replace("\r", "\\r").replace("\n", "\\n") if not record.exc_info else masked
