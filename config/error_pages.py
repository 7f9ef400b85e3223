"""Responses for errors outside the API framework: JSON, except for the pages of the admin site."""

import sys

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from config.http import error_response, host_refused, unavailable


def _in_admin(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return error_response(400, "bad_request", host_refused(request))
    return error_response(400, "bad_request", "The request could not be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _in_admin(request):
        return defaults.permission_denied(request, exception)
    return error_response(403, "permission_denied", "You do not have permission to do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _in_admin(request):
        return defaults.page_not_found(request, exception)
    return error_response(404, "not_found", "There is no resource at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 if a middleware failed because the database cannot answer."""
    return unavailable(sys.exc_info()[1]) or error_response(
        500, "error", "The service failed to answer this request. The failure has been logged."
    )
