"""Errors outside the API framework: JSON everywhere but in the admin site."""

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from config.http import error_response


def _in_admin(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/")


def bad_request(request, exception=None) -> HttpResponse:
    return error_response(400, "bad_request", "The request could not be read.")


def permission_denied(request, exception=None) -> HttpResponse:
    if _in_admin(request):
        return defaults.permission_denied(request, exception)
    return error_response(403, "permission_denied", "You may not do this.")


def not_found(request, exception=None) -> HttpResponse:
    if _in_admin(request):
        return defaults.page_not_found(request, exception)
    return error_response(404, "not_found", "There is nothing at this address.")


def server_error(request) -> HttpResponse:
    return error_response(500, "error", "Something broke on our side. It has been logged.")
