"""`manage.py leakcheck` on a running service, and on one with planted holes."""

import re
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import pytest
from django.conf import settings

from accounts.models import User
from audit.models import AuditEntry
from payments.models import Transfer
from videos.models import Video
from videos.storage.base import VERSIONS
from videos.tests import processes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.journeys,
    pytest.mark.programs,
]
FAST = {"RATE_LIMIT_DEFAULT": "100000", "RATE_LIMIT_STREAM": "100000", "WEB_WORKERS": "2"}
OF_THE_HOP = {"connection", "transfer-encoding", "keep-alive"}


@pytest.fixture
def service(admin, media):
    with processes.worker(), processes.web(**FAST) as (_, port):
        yield port


def leakcheck(port: int, *options: str) -> tuple[int, str]:
    process = processes.start("leakcheck", f"http://127.0.0.1:{port}", *options, COLUMNS="170")
    code = process.wait(timeout=240)
    return code, processes.log()


def left_open() -> list[str]:
    """Return what a check has left behind that somebody could use."""
    people = User.objects.filter(email__endswith="@leakcheck.invalid")
    assert people.exists()
    videos = Video.objects.filter(title__startswith="leakcheck")
    deleted = AuditEntry.objects.filter(action="video.deleted").values_list("target_id", flat=True)
    assert {str(video.pk) for video in videos} == set(deleted)
    open_ = [user.email for user in people.filter(is_active=True)]
    open_ += [str(video) for video in videos.filter(deleted_at=None)]
    return open_ + [str(path) for path in (settings.MEDIA_ROOT / VERSIONS).glob("*/*/*.m3u8")]


def test_nothing_leaks_from_the_service(service):
    code, output = leakcheck(service)

    assert code == 0, output
    assert "Nothing leaks, and everybody has what is theirs." in output
    assert not left_open()
    assert not Transfer.objects.exists()


@pytest.mark.thorough
def test_nothing_leaks_in_common_encryption(admin, media):
    """Licences and keys are asked for as every kind of viewer, and no segment is clear."""
    cbcs = {"HLS_ENCRYPTION": "cbcs"}
    with processes.worker(**cbcs), processes.web(**FAST, **cbcs) as (_, port):
        code, output = leakcheck(port)

    assert code == 0, output
    assert "licence" in output
    assert "clear segment" in output
    assert not left_open()


class Holey(BaseHTTPRequestHandler):
    """A proxy that a hasty operator has put before the service."""

    upstream = 0
    kept: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/media/") and path.endswith(".m4s"):
            self.from_disk(path)  # a segment without a check
        elif path.endswith("/poster"):
            self.of_any_video(path)  # the poster of a private video
        elif "..%2f" in path and path.endswith(".mpd"):
            self.from_disk(normpath(unquote(path)))
        elif path.endswith("init.mp4") and path in self.kept:
            self.reply(*self.kept[path])  # a 200 from the cache
        else:
            self.pass_on(path)

    do_POST = do_GET

    def from_disk(self, path: str) -> None:
        file = Path(settings.MEDIA_ROOT, VERSIONS, *path.split("/")[3:])
        if file.is_file():
            self.reply(200, [], file.read_bytes())
        else:
            self.reply(404, [], b"")

    def of_any_video(self, path: str) -> None:
        folder = Path(settings.MEDIA_ROOT, VERSIONS, path.split("/")[4])
        found = next(folder.glob("*/poster.jpg"), None)
        self.reply(*((200, [], found.read_bytes()) if found else (404, [], b"")))

    def pass_on(self, path: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        source = (self.client_address[0], 0)
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=60, source_address=source)
        connection.request(self.command, self.path, body or None, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in OF_THE_HOP]
        if path.startswith(("/watch/", "/embed/")):  # shown in any frame
            framing = {"content-security-policy", "x-frame-options"}
            headers = [pair for pair in headers if pair[0].lower() not in framing]
        if path.endswith("init.mp4") and answer.status == 200:
            self.kept[path] = (200, headers, content)
        self.reply(answer.status, headers, content)

    def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def holey(port: int):
    handler = type("Handler", (Holey,), {"upstream": port, "kept": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


HOLES = {
    "a segment without a check": r"paid: segment, copied, forged or bent \(junk\)",
    "a segment of a deleted video": r"deleted: segment, after the right has ended",
    "the poster of a private video": r"private, paid: poster, as stranger: 200",
    "a path that a proxy decodes": r"DASH manifest, copied, forged or bent \(\.\.%2f\)",
    "a 200 from a cache": r"initialisation, after the right has ended \(as before\), as buyer: 200",
    "a preview that goes on": r"beyond the preview \(\S+/4\.m4s\), as stranger: 200",
    "a page in a foreign frame": r"/embed/ in a foreign frame, as anonymous: allowed",
}


@pytest.mark.thorough
def test_planted_holes_are_found(service):
    with holey(service) as port:
        code, output = leakcheck(port, "--wrong-only")

    assert code == 1
    found = [line for line in output.splitlines() if line.startswith("LEAK")]
    missed = [hole for hole, line in HOLES.items() if not any(re.search(line, f) for f in found)]
    assert not missed, "\n".join(found)
    assert not any(re.search("media playlist|file of text, copied", line) for line in found), found
    assert not left_open()


def test_without_a_service_nothing_is_proved_and_nothing_is_left(admin, media):
    code, output = leakcheck(1)

    assert code == 1
    assert "nothing is proved" in output
    assert not left_open()
