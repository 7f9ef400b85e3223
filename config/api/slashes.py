"""API paths with and without a slash at the end."""

import re
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

from config.ids import FORM, parse

_known: dict[str, ResolverMatch] = {}
_ID = re.compile(FORM)
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

    Django tries one pattern after the other. Routes whose parameters are all ids are remembered by the
    path without the ids: there are no more of them than in `config.urls`.
    """
    ids = _ID.findall(path)
    shape = _ID.sub("*", path) if ids else path
    known = _known.get(shape)
    if known is not None and len(known.kwargs) == len(ids):
        return _with(known, ids) if ids else known
    try:
        found = resolve(path)
    except Resolver404:
        return None
    if found.url_name == UNKNOWN:
        return None
    values = [parse(each) for each in ids]
    captured: dict[str, object] = found.captured_kwargs  # type: ignore[attr-defined]  # stubs lack it
    if not found.args and [*captured.values()] == values == [*found.kwargs.values()]:
        _known[shape] = found
    return found


def _with(known: ResolverMatch, ids: list[str]) -> ResolverMatch:
    """Return a route with other ids in the place of its own."""
    found = ResolverMatch.__new__(ResolverMatch)
    found.__dict__.update(known.__dict__)
    kwargs = dict(zip(known.kwargs, map(parse, ids), strict=True))
    found.kwargs, found.captured_kwargs = kwargs, {**kwargs}  # type: ignore[attr-defined]  # as above
    return found
