"""Both engines of the delivery over the same files, and what all of their answers have."""

import contextlib
import json
import time
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from streaming.delivery.asgi import LazyDelivery
from streaming.delivery.nginx import link
from streaming.tests import nginx_kit
from streaming.tests.delivery_kit import (
    KEY,
    Connection,
    Stage,
    protocol_of,
    random_bytes,
    serving,
    wait_until,
)

ENGINES = ["embedded", pytest.param("nginx", marks=pytest.mark.programs)]
ORIGIN = "https://app.example"
HERE = "127.0.0.1"
SEGMENT = random_bytes(100_000)
SIZE = len(SEGMENT)
FILES = {
    "master.m3u8": (b"#EXTM3U\n#x\n", "application/vnd.apple.mpegurl"),
    "manifest.mpd": (b"<MPD/>", "application/dash+xml"),
    "en.vtt": (b"WEBVTT\n", "text/vtt"),
    "empty.vtt": (b"", "text/vtt"),
    "1080/init.mp4": (random_bytes(800), "video/mp4"),
    "1080/1.m4s": (SEGMENT, "video/iso.segment"),
    "1080/2.m4s": (SEGMENT[::-1], "video/iso.segment"),
    "poster.jpg": (random_bytes(500), "image/jpeg"),
}


class Engine:
    """A running engine over a stage: its port, and requests to it."""

    def __init__(self, name: str, stage: Stage, port: int):
        self.name, self.stage, self.port = name, stage, port
        self.process: Any = None  # of nginx
        self.site: Any = None

    def fetch(self, path: str, method: str = "GET", headers: dict[str, str] | None = None):
        client = Connection(self.port)
        try:
            lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
            client.ask(path, method, lines)
            status, answered = client.head()
            length = int(answered.get("content-length", 0))
            body = b"" if method == "HEAD" or status in {204, 304} else client.read(length)
            return status, answered, body
        finally:
            client.close()

    def get(self, name: str, method: str = "GET", headers=None, **grant):
        return self.fetch(self.path(name, **grant), method, headers)

    def path(self, name: str, *, grant: str | None = None, version: str = "v1", **options) -> str:
        made = grant or self.stage.grant(address=options.pop("address", HERE), **options)
        return self.stage.path(name, grant=made, version=version)


def link_to(stage: Stage) -> link.Link:
    """Return the exchange with nginx over the stage's sessions, instead of the database's."""

    def ended(since):
        if stage.sessions.away:
            raise ConnectionError("the database is away")
        known = list(stage.sessions.ended)
        return {"now": time.time(), "ended": [[each.hex, 600] for each in known]}

    lazy = LazyDelivery()
    lazy.delivery = stage.app
    return link.Link(lazy, ended)


@contextlib.contextmanager
def started(name, folder, *, binding="device", **more):
    """Run an engine over some published files until the block ends; ``more`` is of nginx's site."""
    with override_settings(**settings_for(folder) | {"BIND_PLAYBACK": binding}):
        yield from running(name, folder, **more)


def settings_for(folder):
    return {
        "DELIVERY": "nginx",
        "MEDIA_ROOT": folder,
        "GRANT_KEY": KEY,
        "BIND_PLAYBACK": "device",
        "CORS_ALLOWED_ORIGINS": [ORIGIN],
        "CORS_ALLOW_ALL_ORIGINS": False,
    }


def running(name, folder, **more):
    """Yield a running engine over some published files."""
    (folder / "videos").mkdir()
    stage = Stage(folder / "videos", mode=settings.BIND_PLAYBACK, origins=[ORIGIN])
    for path, (content, _) in FILES.items():
        stage.publish(path, content)
    stage.snapshot.start()
    exchange = link_to(stage)

    async def app(scope, receive, send):
        if exchange.takes(scope):
            await exchange(scope, receive, send)
        else:
            await stage.app(scope, receive, send)

    with serving(app, http=protocol_of(stage), lifespan="off") as port:
        if name == "embedded":
            yield Engine(name, stage, port)
        else:
            site = nginx_kit.site(
                folder / "nginx", web=[f"http://{HERE}:{port}"], port=nginx_kit.free_port(), **more
            )
            with nginx_kit.serving(site) as process:
                made = Engine(name, stage, int(site.listen.rpartition(":")[2]))
                made.process, made.site = process, site
                if not more:  # then it speaks TLS
                    wait_until(lambda: made.get("poster.jpg")[0] == 200)  # the first exchange
                yield made
    stage.close()


def assert_on_every_answer(headers):
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "media-src 'self'" in headers["content-security-policy"]
    assert "etag" in headers["access-control-expose-headers"]
    assert headers["vary"] == "origin"
    assert len(headers["x-request-id"]) == 32
    assert "last-modified" not in headers


def assert_refused(answer, status, code):
    answered, headers, body = answer
    assert answered == status
    assert_on_every_answer(headers)
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["content-length"] == str(len(body))
    content = json.loads(body)
    assert content["type"] == ("server_error" if status >= 500 else "client_error")
    assert content["errors"][0]["code"] == code
    assert content["errors"][0]["detail"]
    assert ("www-authenticate" in headers) == (status == 401)
    assert ("retry-after" in headers) == (status == 503)
