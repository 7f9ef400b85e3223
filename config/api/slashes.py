"""API paths with and without a slash at the end."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

_fixed: dict[str, ResolverMatch] = {}
UNKNOWN = "unknown-route"  # the name of the route that answers 404 for every other path under /api


class EitherSlashMiddleware:
    """Answers an API path with or without its last slash, such as `/videos` and `/videos/`.

    The path is changed before it is looked up. A redirect would lose the body of a POST. The route that
    was found is kept in ``request.found_route``, so that `config.wsgi` need not look it up again.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith("/api/") and not path.endswith("//"):
            found = _route(path)
            if found is None:
                other = path[:-1] if path.endswith("/") else f"{path}/"
                found = _route(other)
                if found is not None:
                    request.path_info = other
            request.found_route = found  # type: ignore[attr-defined]  # of this service
        return self.get_response(request)


def _route(path: str) -> ResolverMatch | None:
    """Return the route of a path, or None if only the route for unknown paths takes it.

    The routes without parameters are remembered: there are no more of them than in `config.urls`.
    """
    if path in _fixed:
        return _fixed[path]
    try:
        found = resolve(path)
    except Resolver404:
        return None
    if found.url_name == UNKNOWN:
        return None
    if not found.args and not found.kwargs:
        _fixed[path] = found
    return found
