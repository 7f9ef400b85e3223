"""The parts of every request outside the API framework: its id, transport security, error body, logs."""

import copy
import ipaddress
import logging
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from corsheaders.middleware import CorsMiddleware as CorsHeadersMiddleware
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware
from django.utils.cache import patch_vary_headers

from config import database, headers, tracing
from config.ids import uuid7
from config.log_context import request_id, user_id

logger = logging.getLogger(__name__)
FROM_OTHER_MACHINES = "docs/operations.md, From other machines"
SCOPE, ROUTE = (
    "vod.scope",
    "vod.route",
)  # the ASGI scope in request.META, and the route in the scope
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:\-]{8,128}")
_VARYING = re.compile(r"<[^>]*>")


class RequestIdMiddleware:
    """Gives every request an id and returns it in ``X-Request-ID``.

    The client's own ``X-Request-ID`` is used if it has 8 to 128 letters, digits and ``._:-``. Tells the
    server the route of the request, for its counters.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        name = request_id_for(request.META.get("HTTP_X_REQUEST_ID", ""))
        token, of_nobody = request_id.set(name), user_id.set("")
        match = None
        try:
            with tracing.span(f"{request.method}", vod__request_id=name) as span:
                response = self.get_response(request)
                match = request.resolver_match
                _describe(span, request, response, route_name(match.route) if match else "")
        finally:
            request_id.reset(token)
            user_id.reset(of_nobody)
        if (scope := request.META.get(SCOPE)) is not None and match is not None:
            scope[ROUTE] = route_name(match.route)
        response["X-Request-ID"] = name
        return response


def _describe(
    span: tracing.Span, request: HttpRequest, response: HttpResponseBase, route: str
) -> None:
    """Tell the span of a request what it was, by the names of OpenTelemetry's conventions."""
    if route:
        span.rename(f"{request.method} {route}")
    span.set(
        http__request__method=request.method,
        http__route=route,
        http__response__status_code=response.status_code,
        user__id=user_id.get(),
    )
    if response.status_code >= 500:
        span.fail()


@cache
def route_name(route: str) -> str:
    """Return a route of Django with * for its parameters, or * for all paths that have no route."""
    return "/api/*" if route.startswith("^") else f"/{_VARYING.sub('*', route)}"


def request_id_for(given: str) -> str:
    """Return the client's own id of a request if it may be used, else a new one."""
    return given if _ACCEPTED_ID.fullmatch(given) else uuid7().hex


class CorsMiddleware(CorsHeadersMiddleware):
    """django-cors-headers, with a short way for requests that do not come from another site's page."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META or request.method == "OPTIONS":
            return super().__call__(request)  # type: ignore[return-value]  # it allows coroutines
        response = self.get_response(request)
        if "Vary" not in response.headers:  # type: ignore[union-attr]  # as above
            response.headers["Vary"] = "origin"  # type: ignore[union-attr]  # as above
        else:
            patch_vary_headers(response, ("origin",))  # type: ignore[arg-type]  # as above
        return response  # type: ignore[return-value]  # as above


class Request(WSGIRequest):
    """A request whose Content-Type may name any charset."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """Read the Content-Type, and forget a charset that is no encoding of texts.

        Python knows codecs such as "hex" under the same names, and Django would read the query with
        them. The bodies of the API are UTF-8 whatever the header says.
        """
        self.content_type, self.content_params = "", {}
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # stubs lack it
        except (LookupError, ValueError):
            self._encoding = None


class TransportSecurityMiddleware(SecurityMiddleware):
    """Django's security headers and redirect to HTTPS, with exceptions for plain HTTP.

    * Connections on the loopback address are served: they cross no network that could be read.
    * API calls are refused instead of redirected: by the time of a redirect, the password or token has
      already crossed the network unencrypted (OWASP ASVS 5.0, 4.1.2).
    * Without a proxy (TRUSTED_PROXIES), nothing here speaks HTTPS, so pages are refused too.
    * Health checks and metrics are served: probes often cannot use TLS. They carry no secret but
      METRICS_TOKEN, which opens figures only.

    The headers of `config.headers` are added to every answer.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if mask_secrets(request.path) != request.path:
            # A referrer would pass on the secret in the path.
            response.headers.setdefault("Referrer-Policy", "no-referrer")
        headers.add(request, response)
        return super().process_response(request, response)

    def process_request(  # type: ignore[override]  # the stub knows redirects only
        self, request: HttpRequest
    ) -> HttpResponse | None:
        if not self.redirect or request.is_secure() or is_loopback(request):
            return None
        if request.path.startswith(("/health/", "/metrics")):
            return None
        if request.path.startswith("/api/") or not settings.TRUSTED_PROXIES:
            return error_response(403, "https_required", http_refused(request))
        return super().process_request(request)


def http_refused(request: HttpRequest) -> str:
    """Return why plain HTTP from another machine is refused, and what the operator can set."""
    if settings.TRUSTED_PROXIES:
        return "This service refuses plain HTTP. Use https:// instead."
    needed = "ALLOW_HTTP=true"
    if name := unknown_host(request):
        needed += f" and {allowing(name)}"
    return (
        "This service refuses plain HTTP from other machines, because passwords would cross the network"
        " unencrypted. Its operator can put an HTTPS proxy in front or, in a trusted network,"
        f" set {needed} in .env and start it again ({FROM_OTHER_MACHINES})."
    )


def host_refused(request: HttpRequest) -> str:
    """Return why a request to this host name is refused, and what the operator can set."""
    name = unknown_host(request)
    if not name:
        return "The request could not be read."
    return (
        f"This service does not answer to the name {name}. Its operator can set {allowing(name)} in .env"
        f" and start it again ({FROM_OTHER_MACHINES})."
    )


def unknown_host(request: HttpRequest) -> str:
    """Return the valid host name of a request that ALLOWED_HOSTS lacks, else an empty string."""
    name = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
    return "" if validate_host(name, settings.ALLOWED_HOSTS) else name


def allowing(name: str) -> str:
    """Return the setting that adds a name. The dots stand for the other names, which are not told."""
    return f"ALLOWED_HOSTS=...,{name}"  # ASCII, because JSON would escape it


def is_loopback(request: HttpRequest) -> bool:
    """Return whether the request comes from this machine and also names this machine as its host.

    The name matters because a reverse proxy on this machine passes on requests of other machines.
    """
    host = split_domain_port(request.META.get("HTTP_HOST", ""))[0].strip("[]")
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
        named = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
    return peer.is_loopback and named


def error_response(status: int, code: str, detail: str) -> HttpResponse:
    """Return an error with the body that the API framework gives its errors."""
    kind = "server_error" if status >= 500 else "client_error"
    errors = [{"code": code, "detail": detail, "attr": None}]
    return JsonResponse({"type": kind, "errors": errors}, status=status)


class RepetitionFilter(logging.Filter):
    """A logging filter that passes one line a minute of each text about a part that is away or wrong.

    The next such line says how many were left out. Each request meets the same fault meanwhile.
    """

    SECONDS = 60.0
    LOGGERS = frozenset(
        {"config.api.exceptions", "config.error_pages", "config.health", "videos.storage.away"}
    )

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name not in self.LOGGERS or hasattr(record, "outage"):  # OutageFilter has seen it
            return True
        key, now = (record.name, record.getMessage()), time.monotonic()
        last, left_out = self._last.get(key, (float("-inf"), 0))
        if now - last < self.SECONDS:
            self._last[key] = (last, left_out + 1)
            return False
        self._last[key] = (now, 0)
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} more times since the last such line)"
            record.args = None
        return True


class InvalidRequestFilter(logging.Filter):
    """A logging filter that drops uvicorn's line about bytes that are no HTTP request."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "Invalid HTTP request received."


_API_KEY = re.compile(r"(vod_[0-9a-fA-F]{8})[A-Za-z0-9_-]{8,}")
_SECRET_IN_PATH = re.compile(r"(/media/|/stream/play/|/checkout/|/authenticate/)[^/\s\"?]+")


def mask_secrets(text: str) -> str:
    """Replace each grant, stream token and sandbox page's id in a path, and each API key, by ``***``.

    A reader of the log could otherwise use them to open the video or the page, or to call the API.
    """
    if "vod_" in text:
        text = _API_KEY.sub(r"\1***", text)
    return _SECRET_IN_PATH.sub(r"\1***", text)


def explained(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record with the reason in place of a traceback, if it is about a part that is away."""
    error = record.exc_info[1] if record.exc_info else None
    reason = database.unavailability(error)
    if reason or (error is not None and hasattr(record, "outage")):
        record = copy.copy(record)
        words = f"{reason} ({error})" if reason else f"{type(error).__name__}: {error}"
        record.msg, record.args = f"{record.getMessage()} {words}", None
        record.exc_info = record.exc_text = None
    return record


class OneLineFormatter(logging.Formatter):
    """A formatter that masks secrets and writes one line for each record without a traceback.

    Line breaks are escaped, so that a client cannot forge a log line of its own. An error of a database
    that cannot answer is no fault of the code: the line then has the reason in place of a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        record = explained(record)
        line = super().format(record)
        masked = mask_secrets(line)
        return masked.replace("\r", "\\r").replace("\n", "\\n") if not record.exc_info else masked
