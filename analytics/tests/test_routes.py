"""Addresses, methods, errors and request ids behave the same on all routes."""

import json
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from config.ids import uuid7
from config.tests import cases
from payments.models import Statement
from videos.models import Video

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["videos", "users", "audit", "stream/sessions", "auth/me"])
def test_both_forms_of_a_path_answer_the_same(client_for, admin, path):
    client = client_for(admin)

    bare, slashed = client.get(f"/api/v1/{path}"), client.get(f"/api/v1/{path}/")

    assert (bare.status_code, slashed.status_code) == (200, 200)


def test_a_single_thing_has_both_forms_too(client_for, make_video):
    video = make_video()

    for suffix in ("", "/"):
        answer = client_for().get(f"/api/v1/videos/{video.pk}{suffix}")
        assert (answer.status_code, answer.json()["id"]) == (200, str(video.pk))


@pytest.mark.parametrize("path", ["/api/v1/videos", "/api/v1/videos/"])
def test_neither_form_loses_the_body(client_for, creator, path):
    answer = client_for(creator).post(path, {"title": "Kept"})

    assert (answer.status_code, answer.json()["title"]) == (201, "Kept")
    assert Video.objects.count() == 1


@pytest.mark.parametrize("path", ["/api/v1/auth/login", "/api/v1/auth/login/"])
def test_neither_form_of_the_path_loses_an_html_form(client_for, make_user, path):
    make_user(email="ann@example.com", password="a long pass phrase")
    body = "username=ann%40example.com&password=a+long+pass+phrase"

    answer = client_for().post(path, body, content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 200


@cases.crossed(
    path=[
        "/api/",
        "/api/v1/",
        "/api/v2/videos/",
        "/api/v1/nothing",
        "/api/v1/videos//",
        "/api/v1/videos/0",
        "/api/v1/videos/-1",
        "/api/v1/videos/%00",
        "/api/v1/videos/..%2f..%2fetc%2fpasswd",
        "/api/v1/videos/{uuid}",
        "/api/v1/videos/urn:uuid:0",
        "/api/v1/videos/%ed%a0%80",
        "/api/v1/VIDEOS/",
        "/nothing",
    ],
    method=["get", "post", "put", "patch", "delete", "options", "head"],
)
def test_an_unknown_address_is_a_404_with_the_common_body(client, method, path):
    answer = getattr(client, method)(path)

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/json"
    if method != "head":
        body = answer.json()
        assert (body["type"], len(body["errors"])) == ("client_error", 1)
        assert body["errors"][0]["code"] == "not_found"
        assert set(body["errors"][0]) == {"code", "detail", "attr"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "videos/", "GET, POST, HEAD, OPTIONS"),
        ("DELETE", "videos/", "GET, POST, HEAD, OPTIONS"),
        ("PATCH", "videos/", "GET, POST, HEAD, OPTIONS"),
        ("POST", "users/", "GET, HEAD, OPTIONS"),
        ("DELETE", "audit/", "GET, HEAD, OPTIONS"),
        ("GET", "auth/login", "POST, OPTIONS"),
        ("PUT", "auth/me", "GET, PATCH, DELETE, HEAD, OPTIONS"),
        ("TRACE", "videos/", "GET, POST, HEAD, OPTIONS"),
        ("FOO", "videos/", "GET, POST, HEAD, OPTIONS"),
        ("PROPFIND", "videos/", "GET, POST, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_a_405_with_the_allowed_methods(client_for, admin, method, path, allowed):
    answer = client_for(admin).generic(method, f"/api/v1/{path}", "{}")

    assert answer.status_code == 405
    assert set(answer["Allow"].split(", ")) == set(allowed.split(", "))
    assert answer.json()["errors"][0]["code"] == "method_not_allowed"


STATEMENT: dict[str, object] = {
    "period": "2026-05", "opening": "0.00", "sales": [], "pool": None, "adjustments": [],
    "payouts": [], "closing": "0.00",
}  # fmt: skip
ACCEPT = [
    "image/*",
    "image/avif,image/webp",
    "text/csv",
    "text/html",
    "application/xml",
    "x",
    "/;q",
    "",
]


@pytest.fixture
def files(client_for, admin, creator, media, make_video):
    """By kind of answer: a client, a path and the content type that is sent under any ``Accept``."""
    video = make_video(creator=creator)
    video.version_folder.mkdir(parents=True)
    (video.version_folder / "poster.jpg").write_bytes(b"\xff\xd8picture")
    Statement.objects.create(
        creator=creator, period="2026-05", currency="USD", body=json.dumps(STATEMENT)
    )
    token = client_for().get(f"/api/v1/stream/{video.pk}").data["stream_url"]
    table, earner = "text/csv; charset=utf-8", client_for(creator)
    return {
        "poster": (client_for(), f"/api/v1/videos/{video.pk}/poster", "image/jpeg"),
        "audit log": (client_for(admin), "/api/v1/audit/?format=csv", table),
        "report": (earner, "/api/v1/analytics/creator?format=csv", table),
        "statement": (earner, "/api/v1/payments/creator/statements/2026-05.csv", table),
        "redirect to a manifest": (client_for(), token, "text/html; charset=utf-8"),
        "catalogue": (client_for(), "/api/v1/videos/", "application/json"),
        "refusal": (client_for(), "/api/v1/users/", "application/json"),
    }


@pytest.mark.parametrize("accept", ACCEPT)
def test_a_file_and_json_are_sent_whatever_accept_says(files, accept):
    statuses = {"redirect to a manifest": 302, "refusal": 401}
    for name, (client, path, content_type) in files.items():
        answer = client.get(path, HTTP_ACCEPT=accept)

        expected = (statuses.get(name, 200), content_type)
        assert (answer.status_code, answer["Content-Type"]) == expected, name


def test_an_unknown_host_is_a_400_and_appears_in_no_link(client, settings, make_video):
    settings.ALLOWED_HOSTS = ["testserver"]
    for _ in range(2):
        make_video()

    refused = client.get("/api/v1/videos/", HTTP_HOST="evil.example")
    assert refused.status_code == 400
    assert refused.json()["type"] == "client_error"
    assert b"//evil" not in refused.content

    page = client.get("/api/v1/videos/?page_size=1", HTTP_X_FORWARDED_HOST="evil.example")
    assert page.json()["next"].startswith("http://testserver/")


@pytest.mark.parametrize("given", ["12345678", "my-request.id_7:x", "A" * 128])
def test_an_ordinary_request_id_is_kept(client, given):
    assert client.get("/api/v1/videos/", HTTP_X_REQUEST_ID=given)["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    ["", "short", "A" * 129, "with space", "line\r\nbreak", "<script>", "ünïcode-id", "a;b"],
)
def test_an_unusual_request_id_is_replaced(client, given):
    first = client.get("/api/v1/videos/", HTTP_X_REQUEST_ID=given)["X-Request-ID"]
    second = client.get("/api/v1/videos/", HTTP_X_REQUEST_ID=given)["X-Request-ID"]

    assert len(first) == len(second) == 32
    assert given not in {first, second}
    assert first != second


@pytest.mark.parametrize("path", ["/api/v1/videos/", "/nothing", "/health/live", "/admin/login/"])
def test_every_answer_carries_an_id_and_the_security_headers(client, path):
    answer = client.get(path)

    assert answer["X-Request-ID"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"


def test_liveness_reveals_no_detail(client):
    assert client.get("/health/live").json() == {"status": "ok"}


def test_readiness_names_its_parts(client):
    answer = client.get("/health/ready")

    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "degraded"
    assert body["parts"] == {
        "database": "ok",
        "cache": "ok",
        "storage": "ok",
        "disk": body["parts"]["disk"],  # that of this machine
        "worker": "none",
        "queue": "ok",
    }
    assert body["reasons"]["worker"].startswith("No worker has given a sign of life yet")


def test_ids_are_version_7_and_grow():
    ids = [uuid7() for _ in range(100)]

    assert {value.version for value in ids} == {7}
    assert ids == sorted(ids)
    assert len(set(ids)) == 100


def test_other_origins_may_call_but_never_with_cookies(client):
    answer = client.options(
        "/api/v1/videos/",
        HTTP_ORIGIN="https://player.example",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
    )

    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer


VALUES = {"uuid": "01890000-0000-7000-8000-000000000000", "int": "1", "slug": "a", "str": "a"}
METHODS = ("get", "head", "options", "post", "put", "patch", "delete", "trace")


def outside_the_api(routes=None, before: str = "/") -> Iterator[str]:
    """Yield an address of every route outside /api/v1/, with a value for each of its parameters."""
    for entry in get_resolver().url_patterns if routes is None else routes:
        pattern = entry.pattern
        route = getattr(pattern, "_route", None)
        if route is None:  # a regular expression: all other addresses below its beginning
            yield f"{before}{str(pattern).lstrip('^').partition('(')[0]}nothing"
            continue
        for name, converter in pattern.converters.items():
            kind = type(converter).__name__.removesuffix("Converter").lower()
            for form in (f"<{kind}:{name}>", f"<{name}>", f"<path:{name}>"):
                route = route.replace(form, VALUES.get(kind, "a"))
        if isinstance(entry, URLResolver) and f"{before}{route}" != "/api/v1/":
            yield from outside_the_api(entry.url_patterns, f"{before}{route}")
        elif isinstance(entry, URLPattern):
            yield f"{before}{route}"


@pytest.mark.long
@pytest.mark.sweep
@pytest.mark.parametrize("path", sorted(set(outside_the_api())))
def test_no_method_breaks_a_route_outside_the_api(client, admin, path):
    """Neither form of an address, with or without a sign-in, answers with a 500."""
    client.raise_request_exception = False
    forms = {path.rstrip("/"), f"{path.rstrip('/')}/"} - {""}
    for signed_in in (False, True):
        if signed_in:
            client.force_login(admin)
        for form in sorted(forms):
            for method in METHODS:
                answer = client.generic(method.upper(), form)
                assert answer.status_code != 500, f"{method} {form}"


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_pages_of_the_documentation_tell_their_methods(client, page):
    for form in (f"/api/{page}", f"/api/{page}/"):
        answer = client.options(form)
        assert (answer.status_code, answer["Allow"]) == (204, "GET, HEAD, OPTIONS")
