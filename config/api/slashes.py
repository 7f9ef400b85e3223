"""`/videos` and `/videos/` are the same place."""

from django.urls import Resolver404, resolve

UNKNOWN = "unknown-route"  # the catch-all that answers 404 under /api


class EitherSlashMiddleware:
    """Answers an API path with or without its last slash.

    Never by a redirect, which would lose the body of a POST: the path is looked up in the form that
    exists.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
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
