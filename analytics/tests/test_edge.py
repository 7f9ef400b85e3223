"""The server against clients that send too much, too slowly, or nothing."""

import http.client
import json
import socket
import threading
from contextlib import ExitStack

import pytest
from django.conf import settings

from config.server import HEAD_BYTES, HEAD_LINES
from videos import storage
from videos.models import Video
from videos.tests import processes
from videos.tests.fixtures import Folder

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.long,
    pytest.mark.xdist_group("edge"),
]
CATALOGUE = "/api/v1/videos/"
LOGIN = "/api/v1/auth/login"


@pytest.fixture(scope="module")
def media(tmp_path_factory, django_db_setup):
    """The media folder of the server that these tests share."""
    before = settings.MEDIA_ROOT
    settings.MEDIA_ROOT = Folder(tmp_path_factory.mktemp("edge") / "media")
    settings.MEDIA_ROOT.mkdir()
    (settings.MEDIA_ROOT / storage.MARK).touch()
    yield settings.MEDIA_ROOT
    settings.MEDIA_ROOT = before


@pytest.fixture(scope="module")
def port(media, django_db_blocker):
    limits = {"RATE_LIMIT_AUTH": "0", "RATE_LIMIT_DEFAULT": "0"}
    with django_db_blocker.unblock(), processes.web(**limits) as (_, port):
        yield port


def raw(port: int, *parts: bytes) -> tuple[int, dict]:
    """Send these bytes, and return the status and the JSON of the answer."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        try:
            for part in parts:
                client.sendall(part)
        except OSError:
            pass  # the server has answered already, and reads no more
        response = http.client.HTTPResponse(client)
        response.begin()
        return response.status, json.loads(response.read())


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    with connection.getresponse() as response:
        response.read()
        return response.status


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([f"{first} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def test_half_bodies_stop_nobody_else(port):
    """Seen once: a hundred of them held every thread, and liveness timed out."""
    half = head(f"POST {LOGIN}", "Content-Type: application/json", "Content-Length: 99") + b"{"
    with ExitStack() as crowd:
        for _ in range(150):
            client = crowd.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            client.sendall(half)
        for _ in range(3):
            assert [get(port, path) for path in ("/health/live", CATALOGUE)] == [200, 200]
        body = b'{"email": "ann@example.com", "password": "wrong"}'
        length = f"Content-Length: {len(body)}"
        status, _ = raw(
            port, head(f"POST {LOGIN}", "Content-Type: application/json", length) + body
        )
        assert status == 401  # a whole body is taken, from the same address too


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([f"X-Long: {'a' * (HEAD_BYTES - 1000)}"], 200),
        ([f"X-Long: {'a' * HEAD_BYTES}"], 431),
        ([f"X-Long: {'a' * 20_000_000}"], 431),
        (["X-Short: a"] * (HEAD_LINES - 5), 200),
        (["X-Short: a"] * (HEAD_LINES + 1), 431),
    ],
    ids=["long", "too long", "20 MB", "many", "too many"],
)
def test_a_head_is_bounded(port, lines, status):
    got, body = raw(port, head("GET /health/live", *lines))
    assert got == status
    if status == 431:
        assert body["errors"][0]["code"] == "headers_too_large"
    assert get(port, "/health/live") == 200


def test_bytes_that_are_no_request_get_an_error_of_ours(port):
    status, body = raw(port, b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert (status, body["errors"][0]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/admin/anything", LOGIN, "/api/v1/videos/x", "/nothing"])
def test_django_never_gets_a_large_body(port, media, path):
    """Seen once: an anonymous caller with a CSRF cookie filled the disk below MEDIA_DIR."""
    form = "Content-Type: multipart/form-data; boundary=x"
    cookie = f"Cookie: csrftoken={'a' * 32}"
    for length in ("Content-Length: 5000000", "Transfer-Encoding: chunked"):
        chunk = b"4c4b40\r\n" + bytes(5_000_000) if "chunked" in length else bytes(5_000_000)
        status, body = raw(port, head(f"POST {path}", form, cookie, length), chunk)
        assert (status, body["errors"][0]["code"]) == (413, "too_large")
    assert media.files() == []
    assert not Video.objects.exists()


def test_a_crowd_that_signs_in_stops_no_reader(port):
    statuses: list[int] = []

    def sign_in() -> None:
        body = b'{"email": "ann@example.com", "password": "a wrong password"}'
        kind, length = "Content-Type: application/json", f"Content-Length: {len(body)}"
        statuses.append(raw(port, head(f"POST {LOGIN}", kind, length) + body)[0])

    crowd = [threading.Thread(target=sign_in) for _ in range(80)]
    for one in crowd:
        one.start()
    assert [get(port, CATALOGUE) for _ in range(5)] == [200] * 5
    for one in crowd:
        one.join()
    assert len(statuses) == 80
    assert set(statuses) <= {401, 503}
    assert 401 in statuses


def test_no_answer_names_the_program_that_made_it(port):
    for request in (
        head("GET /health/live", "Connection: close"),
        head("GET /api/v1/nothing", "Connection: close"),
        head("GET /media/x/1/master.m3u8", "Connection: close"),
        head("POST /api/v1/videos/", "Content-Length: 0", "Connection: close"),
        head("GET /health/live", *["X-Short: a"] * (HEAD_LINES + 1)),
        b"no request\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), 30) as client:
            client.sendall(request)
            client.settimeout(10)
            answer = client.makefile("rb").read().lower()
        assert answer.startswith(b"http/1.1 "), request
        for word in (b"\r\nserver:", b"x-powered-by", b"uvicorn", b"django", b"python"):
            assert word not in answer, (request, word)
