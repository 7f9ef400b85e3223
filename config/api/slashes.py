"""API paths with and without a slash at the end."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

UNKNOWN = "unknown-route"  # the name of the route that answers 404 for every other path under /api


class EitherSlashMiddleware:
    """Answers an API path with or without its last slash, such as `/videos` and `/videos/`.

    The path is changed before it is looked up. A redirect would lose the body of a POST.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith("/api/") and not path.endswith("//") and not _is_route(path):
            other = path[:-1] if path.endswith("/") else f"{path}/"
            if _is_route(other):
                request.path_info = other
        return self.get_response(request)


def _is_route(path: str) -> bool:
    try:
        return resolve(path).url_name != UNKNOWN
    except Resolver404:
        return False
