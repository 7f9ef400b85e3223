"""Responses for errors outside the API framework: a page for browsers, JSON for every other client."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from config.http import error_response
from config.pages import html_page


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400, "bad_request", "The request could not be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403, "permission_denied", "You do not have permission to do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404, "not_found", "There is no resource at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(
        request,
        500,
        "error",
        "The service failed to answer this request. The failure has been logged.",
    )


def _answer(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
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
