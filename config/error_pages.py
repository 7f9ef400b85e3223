"""Responses for errors outside the API framework: a page for browsers, JSON for every other client."""

import logging
import sys
from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from config import database
from config.http import error_response, host_refused
from config.pages import html_page

logger = logging.getLogger(__name__)


class ErrorPagesMiddleware:
    """Gives a page's errors a body. The framework of the API does so itself (config.api.exceptions).

    A database that cannot answer is a 503. Django's own 405 is empty, and gets a body here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed) and not response.content:
            allowed = response.headers["Allow"]
            detail = f"This address cannot be asked with {request.method}. It allows {allowed}."
            response = answer(request, 405, "method_not_allowed", detail)
            response["Allow"] = allowed
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return _unavailable(request, error)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    known = isinstance(exception, DisallowedHost)
    reason = host_refused(request) if known else "The request could not be read."
    return answer(request, 400, "bad_request", reason)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 403, "permission_denied", "You do not have permission to do this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that did not come from a page of this service, or whose cookie is missing."""
    detail = (
        "This form is too old, or came from another site. Load its page again, and send it there."
    )
    return answer(request, 403, "csrf_failed", detail)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 404, "not_found", "There is no resource at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 if a middleware failed because the database cannot answer."""
    failure = "The service failed to answer this request. The failure has been logged."
    return _unavailable(request, sys.exc_info()[1]) or answer(request, 500, "error", failure)


def _unavailable(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """Return the 503 for an error of the database, and None for any other error."""
    reason = database.unavailability(error)
    if reason is None:
        return None
    logger.warning("A request could not be answered.", exc_info=error)
    response = answer(request, 503, "unavailable", reason)
    response["Retry-After"] = "5"
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own sign
    return response


def answer(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """Return the error as a page if the client prefers HTML to JSON, as browsers do, else as JSON.

    An address of the API always answers JSON, and the admin site is read by browsers only.
    """
    path = request.path_info
    preferred = request.get_preferred_type(["application/json", "text/html"])
    if path.startswith("/admin/") or (preferred == "text/html" and not path.startswith("/api/")):
        response = html_page("config/error.html", {"detail": detail}, status=status)
    else:
        response = error_response(status, code, detail)
    patch_vary_headers(response, ["Accept"])
    return response
