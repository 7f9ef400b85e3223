"""Every operation of the API belongs to one scope of API keys, or is closed to them."""

import re

import pytest
from django.urls import get_resolver
from rest_framework.test import APIClient

from accounts import api_keys, scopes
from accounts.authentication import BearerAuthentication
from accounts.scopes import CLOSED, SCOPES, Scope
from analytics.tests.kit import begin
from config.tests import openapi
from streaming.models import PlaybackSession

pytestmark = [pytest.mark.django_db, pytest.mark.sweep]
METHODS = {"get", "post", "put", "patch", "delete"}
BEARER: dict[str, list[str]] = {"bearer": []}


def operations() -> dict[tuple[str, str], str]:
    """Return the path of each operation that takes a bearer token, by method and route."""
    return {
        (method.upper(), re.sub(r"\{[^}]*\}", "*", path.removeprefix("/api/v1/"))): path
        for path, item in openapi.document()["paths"].items()
        for method in METHODS & item.keys()
        if BEARER in item[method]["security"]
    }


def routes() -> set[tuple[str, str]]:
    """Return the method and route of each view that takes a bearer token, in the document or not."""
    return {
        (method.upper(), re.sub(r"<[^>]*>", "*", route.removeprefix("api/v1/")))
        for route, callback in _views(get_resolver().url_patterns)
        if BearerAuthentication in callback.cls.authentication_classes
        for method in METHODS
        if (method in callback.actions if _actions(callback) else hasattr(callback.cls, method))
    }


def _actions(callback):
    return getattr(callback, "actions", None)


def _views(patterns, before=""):
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _views(pattern.url_patterns, route)
        elif hasattr(pattern.callback, "cls"):
            yield route, pattern.callback


def test_every_operation_has_one_scope_or_is_closed():
    assert len(routes()) > 100
    for method, route in routes() | set(operations()):
        named = scopes.scope_of(method, route) is not None
        assert named != ((method, route) in CLOSED), (method, route)


def test_no_route_is_named_that_does_not_exist():
    known = routes() | set(operations())
    assert set(SCOPES) - {route for _, route in known} == set()
    assert CLOSED - known == set()


def test_the_document_names_the_scope():
    document = openapi.document()["paths"]
    for (method, route), path in operations().items():
        if route.endswith("/heartbeat"):  # reads its token itself
            continue
        operation = document[path][method.lower()]
        assert operation["x-api-key-scope"] == scopes.scope_of(method, route)
        assert "insufficient_scope" in operation["x-error-codes"]


def test_an_operation_is_opened_by_its_scope_and_by_no_other(admin):
    """Its scope alone opens it, and all others together do not. Scopes only add.

    As an administrator, so that only the scope can be the reason for a refusal.
    """
    keys: dict[frozenset[Scope], str] = {}
    for (method, route), path in operations().items():
        own = scopes_that_open(method, route)
        for given in (*(frozenset({scope}) for scope in own), frozenset(Scope) - own):
            if given not in keys:
                keys[given] = api_keys.create(user=admin, name="one", scopes=sorted(given))[1]
            client = APIClient()
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {keys[given]}")
            url = re.sub(r"\{[^}]*\}", _value, path)
            answer = client.generic(method, url, "{", content_type="application/json")
            if given & own:
                assert answer.status_code not in {401, 500}, (method, route, given)
                assert _code(answer) != "insufficient_scope", (method, route, given)
            else:
                assert answer.status_code == 403, (method, route)
                assert _code(answer) == "insufficient_scope", (method, route)
                assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]


def scopes_that_open(method: str, route: str) -> frozenset[Scope]:
    """Return the scope of an operation, and READ where that is the reading of something."""
    scope = scopes.scope_of(method, route)
    if scope is None:
        return frozenset()
    return frozenset({scope, Scope.READ} if str(scope).endswith(":read") else {scope})


def _value(match: "re.Match[str]") -> str:
    numbers = {"{number}": "1", "{period}": "2026-01", "{field}": "receipt"}
    return numbers.get(match[0], "019f1c3e-2a51-7d0e-9f3b-6f1f0c2b7a10")


def _code(answer) -> str:
    if not str(answer.get("Content-Type", "")).startswith("application/json"):
        return ""
    body = answer.json()
    return body["errors"][0]["code"] if isinstance(body, dict) and "errors" in body else ""


def test_a_key_reports_playback_of_its_user_only(make_user, make_video):
    viewer, video = make_user(), make_video()
    own, foreign = begin(viewer, video), begin(make_user(), video)
    _, key = api_keys.create(user=viewer, name="tv", scopes=[Scope.PLAYBACK])
    _, weak = api_keys.create(user=viewer, name="tv", scopes=[Scope.READ])
    body = {"position_seconds": 1, "state": "playing"}

    def report(session: PlaybackSession, token: str):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client.post(f"/api/v1/stream/sessions/{session.pk}/heartbeat", body)

    assert report(own, key).status_code == 204
    assert report(foreign, key).status_code == 404
    assert report(own, weak).status_code == 403
    assert report(own, "vod_junk").status_code == 401
