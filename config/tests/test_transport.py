"""Plain HTTP is served on this machine only, and never takes a password from another one."""

import io
import logging

import pytest
from django.test import Client, RequestFactory

from config.http import OneLineFormatter, Request, is_loopback

pytestmark = pytest.mark.django_db

LOGIN = "/api/v1/auth/login"
HOSTS = ["vod.example", "127.0.0.1", "localhost", "[::1]"]


@pytest.fixture
def outside(settings):
    """A client on another machine, while HTTPS is required."""
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.ALLOWED_HOSTS = HOSTS
    return Client(HTTP_HOST="vod.example", REMOTE_ADDR="192.0.2.7")


@pytest.mark.parametrize("method", ["get", "post", "options", "delete"])
@pytest.mark.parametrize("path", [LOGIN, "/api/v1/videos/", "/api/schema/", "/api/nothing"])
def test_an_api_call_over_plain_http_is_refused_not_redirected(outside, method, path):
    answer = getattr(outside, method)(path)

    assert answer.status_code == 403
    assert answer.json()["errors"][0]["code"] == "https_required"
    assert "Location" not in answer
    assert answer["X-Request-ID"]


def test_a_password_sent_over_plain_http_is_not_checked(outside, make_user):
    make_user(email="ann@example.com", password="a long pass phrase")
    body = {"email": "ann@example.com", "password": "a long pass phrase"}

    answer = outside.post(LOGIN, body, content_type="application/json")

    assert answer.status_code == 403
    assert b"access_token" not in answer.content


def test_over_https_it_is_answered_with_hsts(outside):
    answer = outside.get("/api/v1/videos/", secure=True)

    assert answer.status_code == 200
    assert answer["Strict-Transport-Security"].startswith("max-age=31536000")


def test_a_browser_is_sent_to_https_if_a_proxy_speaks_it(outside, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    answer = outside.get("/admin/login/")

    assert (answer.status_code, answer["Location"]) == (301, "https://vod.example/admin/login/")


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/videos/"])
def test_without_a_proxy_the_refusal_says_what_to_set(outside, settings, path):
    settings.ALLOWED_HOSTS = ["vod.example", "secret-name.example"]

    answer = outside.get(path, HTTP_HOST="192.168.1.5:2001")

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (403, "https_required")
    assert "ALLOW_HTTP=true and ALLOWED_HOSTS=...,192.168.1.5 in .env" in error["detail"]
    assert "docs/operations.md, From other machines" in error["detail"]
    assert "secret-name" not in error["detail"]
    again = outside.get(path, HTTP_HOST="vod.example").json()["errors"][0]["detail"]
    assert "set ALLOW_HTTP=true in .env" in again


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/videos/", "/"])
@pytest.mark.parametrize("host", ["192.168.1.5", "nas.local", "[fe80::1]"])
def test_an_unknown_host_name_is_refused_with_the_setting(client, settings, path, host):
    settings.ALLOWED_HOSTS = ["secret-name.example"]

    answer = client.get(path, HTTP_HOST=f"{host}:2001")

    assert answer.status_code == 400
    assert f"set ALLOWED_HOSTS=...,{host} in .env" in answer.content.decode()
    assert "secret-name" not in answer.content.decode()


@pytest.mark.parametrize("host", ["<script>", "a b", "a/b", "a:port", ""])
def test_what_is_no_host_name_is_not_repeated(client, settings, host):
    settings.ALLOWED_HOSTS = ["vod.example"]

    answer = client.get("/api/v1/videos/", HTTP_HOST=host)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["detail"] == "The request could not be read."


def test_health_checks_may_use_plain_http(outside):
    assert outside.get("/health/live").status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-Ssl", "X-Scheme"])
def test_no_header_makes_a_connection_secure(outside, header):
    name = f"HTTP_{header.upper().replace('-', '_')}"

    assert outside.get("/api/v1/videos/", **{name: "https"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "address", "local"),
    [
        ("127.0.0.1:2001", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost:2001", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("[::1]:2001", "::1", True),
        ("[::1]", "::1", True),
        ("vod.example", "127.0.0.1", False),  # a proxy on this machine that forgot to say HTTPS
        ("localhost", "192.0.2.7", False),
        ("127.0.0.1", "10.0.0.1", False),
        ("", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("192.0.2.1:2001", "127.0.0.1", False),
        ("localhost", "", False),
        ("localhost", "unknown", False),
    ],
)
def test_a_loopback_connection_is_recognised(host, address, local):
    request = RequestFactory().get("/", HTTP_HOST=host, REMOTE_ADDR=address)

    assert is_loopback(request) is local


def test_this_machine_needs_no_https(outside):
    answer = outside.get("/api/v1/videos/", HTTP_HOST="127.0.0.1:2001", REMOTE_ADDR="127.0.0.1")

    assert answer.status_code == 200


def line(message: str, *values) -> str:
    record = logging.LogRecord("name", logging.INFO, "", 0, message, values, None)
    return OneLineFormatter("%(levelname)s %(message)s").format(record)


def test_a_log_line_is_one_line_and_holds_no_key():
    assert line("agent %s", 'x\r\n{"level": "info"}') == 'INFO agent x\\r\\n{"level": "info"}'
    assert line("GET /media/AbC.d-e/1/master.m3u8") == "INFO GET /media/***/1/master.m3u8"
    assert line("GET /api/v1/stream/play/Ab:c?x=1") == "INFO GET /api/v1/stream/play/***?x=1"
    for gateway in ("sandbox", "another"):
        page = f"GET /api/v1/payments/{gateway}/checkout"
        assert line(f"{page}/sbc_1") == f"INFO {page}/***"


CHARSETS = [
    "hex",
    "rot13",
    "zip",
    "bogus",
    "base64",
    "idna\x00",
    "\xe9",
    "x" * 500,
    "x" * 20_000,
    "utf-16",
]


@pytest.mark.parametrize("charset", CHARSETS, ids=range(len(CHARSETS)))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_charset_breaks_a_request(method, charset):
    """Seen once: `Content-Type: x/y; charset=hex` was a 500 on every route."""
    environ = {
        **RequestFactory().generic(method, "/").environ,
        "QUERY_STRING": "search=%C3%A9",
        "CONTENT_TYPE": f"x/y; charset={charset}",
        "CONTENT_LENGTH": "8",
        "wsgi.input": io.BytesIO(b"name=fog"),
    }

    request = Request(environ)

    assert list(request.GET) == ["search"]
    assert request.content_type in {"x/y", ""}
    assert request.body == b"name=fog"
