"""The routes that are remembered are those that Django finds."""

import re
import uuid
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, resolve

from config.api import slashes

# Not random: parameters of tests are the same in each process that collects them.
ONE = "0190f3c1-7a52-4c1e-9b7d-3f2a6e5d4c1b"


def paths() -> list[str]:
    """Return a path of each route of the API whose parameters are ids."""
    found = set()
    for possibilities in get_resolver().reverse_dict.values():
        for path, names in possibilities[0] if isinstance(possibilities[0], list) else []:
            if path.startswith("api/v1/") and set(names) <= {"pk", "video_id", "id"}:
                found.add("/" + re.sub(r"%\((\w+)\)s", ONE, path))
    return sorted(found)


def same(a, b) -> bool:
    names = ("func", "args", "kwargs", "captured_kwargs", "url_name", "route", "namespaces")
    return all(getattr(a, name) == getattr(b, name) for name in names)


@pytest.mark.parametrize("path", paths())
def test_a_remembered_route_is_the_one_that_django_finds(path, monkeypatch):
    monkeypatch.setattr(slashes, "_known", {})
    other = slashes._ID.sub(lambda _: str(uuid.uuid4()).upper(), path)
    assert same(slashes._route(path), resolve(path))
    assert slashes._known  # it is remembered, so that the next one is not looked up
    monkeypatch.setattr(slashes, "resolve", None)
    again = slashes._route(other)
    monkeypatch.undo()
    assert same(again, resolve(other))


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/videos/*", "/api/v1/videos/x", f"/api/v1/videos/a{ONE}", f"/api/v1/videos/{ONE}f",
        f"/api/v1/videos/{ONE}{ONE}", f"/api/v1/videos/{ONE[:-1]}", f"/api/v1/videos/*/{ONE}",
    ],
)  # fmt: skip
def test_a_path_that_only_looks_like_a_remembered_one_is_unknown(path, monkeypatch):
    monkeypatch.setattr(slashes, "_known", {})
    assert slashes._route(f"/api/v1/videos/{ONE}")

    assert slashes._route(path) is None

    assert len(slashes._known) == 1


def test_what_strangers_send_is_not_remembered(monkeypatch):
    monkeypatch.setattr(slashes, "_known", {})
    for number in range(3):
        for path in (f"/api/v1/stream/play/token{number}", f"/api/v1/nothing/{number}/{ONE}"):
            slashes._route(path)
    assert slashes._known == {}


def test_the_middleware_gives_each_request_its_own_parameters():
    requests: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    middleware = slashes.EitherSlashMiddleware(view)
    for _ in range(3):
        request = HttpRequest()
        request.path_info = f"/api/v1/videos/{uuid.uuid4()}/"
        middleware(request)
    for request in requests:
        assert str(request.found_route.kwargs["pk"]) in request.path_info
