"""The security headers: on every answer, whoever makes it."""

import socket
from http.client import HTTPResponse

import pytest
from django.test import Client

from config.headers import ADMIN, NO_DEVICES, NOTHING, PAGE
from config.server import HEAD_BYTES
from streaming.delivery.answers import METHODS
from videos.tests import processes

PAGES = ["/", "/nothing", "/watch/0", "/static/none.css"]
FOR_PROGRAMS = [
    "/api/v1/videos/",
    "/api/v1/auth/me",
    "/api/v1/nothing",
    "/api/v1/payments/plans",
    "/api/v1/stream/0",
    "/api/schema/",
    "/health/ready",
    "/static/config/page.css",
    "/favicon.ico",
    "/robots.txt",
]
BROWSER = {"HTTP_ACCEPT": "text/html"}


def assert_protected(headers, policy: str, *, for_other_sites: bool = False) -> None:
    assert headers["Content-Security-Policy"] == policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Permissions-Policy"] == NO_DEVICES
    origin = "cross-origin" if for_other_sites else "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == origin
    assert headers["X-Request-ID"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*PAGES, *FOR_PROGRAMS])
def test_every_answer_has_them(client, path):
    answer = client.get(path, **BROWSER)

    assert_protected(answer.headers, PAGE if path in PAGES else NOTHING)
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/jsi18n/"])
def test_the_admin_site_has_a_policy_without_inline_code(client, path):
    answer = client.get(path)

    assert_protected(answer.headers, ADMIN)
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/api/v1/videos/", "/admin/"])
def test_a_refusal_before_the_view_has_them_too(client, settings, path):
    settings.ALLOWED_HOSTS = ["vod.example"]
    settings.SECURE_SSL_REDIRECT = True
    wrong_host = client.get(path, HTTP_HOST="evil.example", secure=True)
    plain_http = client.get(path, HTTP_HOST="vod.example", REMOTE_ADDR="192.0.2.7")

    for answer, status in ((wrong_host, 400), (plain_http, 403)):
        assert answer.status_code == status
        assert_protected(answer.headers, answer["Content-Security-Policy"])
        assert answer["Cache-Control"] in {"no-store", "no-cache"}


@pytest.mark.django_db
def test_no_answer_of_the_api_may_be_kept(client_for, viewer, make_video):
    """Except the poster, which says for itself who may keep it."""
    video = make_video()
    posted = client_for().post("/api/v1/auth/login", {"email": "a@example.com", "password": "x"})
    answers = [
        posted,
        *(
            client_for(caller).get(f"/api/v1/{path}")
            for caller in (None, viewer)
            for path in ("videos/", f"videos/{video.pk}", "auth/me", "payments/orders", "nothing")
        ),
    ]

    assert {answer["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.django_db
def test_players_of_other_sites_may_fetch_posters_and_start_playback(client_for, make_video, media):
    video = make_video()
    folder = video.version_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "poster.jpg").write_bytes(b"\xff\xd8")

    poster = client_for().get(f"/api/v1/videos/{video.pk}/poster")
    stream = client_for().get(f"/api/v1/stream/{video.pk}").json()["stream_url"]
    playing = [getattr(client_for(), method)(stream) for method in ("head", "get")]

    assert [answer.status_code for answer in (poster, *playing)] == [200, 200, 302]
    for answer in (poster, *playing):
        assert_protected(answer.headers, NOTHING, for_other_sites=True)
    for answer in playing:
        assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("no-referrer", "no-store")


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["checkout", "authenticate"])
def test_a_page_with_a_secret_in_its_path_is_no_referrer(client, page):
    answer = client.get(f"/api/v1/payments/sandbox/{page}/secret")

    assert (answer.status_code, answer["Referrer-Policy"]) == (404, "no-referrer")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/watch/0", "/health/live", "/health/ready"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_page_that_is_only_read_names_what_it_allows(client, path, method):
    json = getattr(client, method)(path)
    page = getattr(client, method)(path, **BROWSER)

    assert (json.status_code, json["Allow"]) == (405, "GET, HEAD")
    assert json.json()["errors"][0]["code"] == "method_not_allowed"
    assert (page.status_code, page["Allow"]) == (405, "GET, HEAD")
    assert b"It allows GET, HEAD." in page.content


@pytest.mark.django_db
def test_a_form_of_another_site_is_refused_with_a_page_of_ours():
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a"})

    assert answer.status_code == 403
    assert answer["Content-Security-Policy"] == PAGE
    assert b"Load its page again" in answer.content


# --- answers that are made without Django -------------------------------------------------------


@pytest.fixture(scope="module")
def port(tmp_path_factory, django_db_blocker):
    from django.conf import settings

    folder, before = tmp_path_factory.mktemp("headers"), settings.MEDIA_ROOT
    settings.MEDIA_ROOT = folder / "media"
    with django_db_blocker.unblock(), processes.web() as (_, port):
        yield port
    settings.MEDIA_ROOT = before


# One process runs them, so that one server is started.
served = pytest.mark.xdist_group("headers")
LIVE = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
UPLOAD = (
    "POST /api/v1/videos/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)


@served
@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"{LIVE}\r\n", 200),
        (f"{LIVE}X-Long: {'a' * HEAD_BYTES}\r\n\r\n", 431),
        ("nonsense\r\n\r\n", 400),
        ("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n", 413),
        (UPLOAD, 401),
    ],
    ids=["live", "431", "400", "413", "upload"],
)
def test_an_answer_without_django_has_them(port, request_text, status):
    answer = send(port, request_text)

    assert answer.status == status
    assert_protected(answer.headers, NOTHING)
    assert answer.headers["Cache-Control"] == "no-store"
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@served
def test_the_id_of_a_request_is_kept_without_django_too(port):
    answer = send(port, f"{LIVE}X-Request-ID: my-own-request\r\n\r\n")

    assert answer.headers["X-Request-ID"] == "my-own-request"


@served
def test_an_upload_with_a_bad_token_says_so(port):
    answer = send(port, UPLOAD.replace("Host:", "Authorization: Bearer x\r\nHost:"))

    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@served
def test_the_delivery_names_its_methods_and_its_challenge(port):
    grant = "A" * 64
    path = f"/media/{grant}/01890000-0000-7000-8000-000000000000/v1/master.m3u8"
    refused = send(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wrong = send(port, f"POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="playback", error="invalid_token"'
    assert (wrong.status, wrong.headers["Allow"]) == (405, METHODS.decode())
    for answer in (refused, wrong):
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert answer.headers["Cache-Control"] == "no-store"


def send(port: int, text: str) -> HTTPResponse:
    """Send a request, and return the answer without its body."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(text.encode())
        response = HTTPResponse(client)
        response.begin()
        return response


def test_pages_may_fetch_segments_of_the_cdn_and_nothing_else(client, db, settings):
    settings.CDN_URL = "https://cdn.example:8443/videos"
    policy = client.get("/sign-in")["Content-Security-Policy"]

    assert "connect-src 'self' https://cdn.example:8443;" in policy
    assert "media-src 'self' https://cdn.example:8443 blob:;" in policy
    assert policy.count("cdn.example") == 2
    assert client.get("/health/live")["Content-Security-Policy"] == NOTHING
