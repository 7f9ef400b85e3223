"""All engines of the delivery over the same files, and what all of their answers have.

nginx-s3 is nginx over a real server of object storage (`make test-storage`).
"""

import contextlib
import json
import time
from pathlib import Path
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
from videos.storage.base import VERSIONS
from videos.storage.folder import MARK

IN_BUCKET = "nginx-s3"
WITH_NGINX = [
    pytest.param("nginx", marks=pytest.mark.programs),
    pytest.param(IN_BUCKET, marks=[pytest.mark.programs, pytest.mark.s3]),
]
ENGINES = ["embedded", *WITH_NGINX]
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
        self.bucket: Any = None  # of nginx-s3
        self.server: Any = None

    @property
    def is_nginx(self) -> bool:
        return self.name != "embedded"

    def publish(self, name: str, content: bytes) -> Path:
        """Publish a file; return its path on the disk."""
        path = self.stage.publish(name, content)
        if self.bucket is not None:
            self.bucket.write(f"{VERSIONS}/{path.relative_to(self.stage.root)}", content)
        return path

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
def started(name, folder, *, binding="device", server=None, settings=None, wait=True, **more):
    """Run an engine over some published files until the block ends; ``more`` is of nginx's site.

    ``server`` has the bucket of nginx-s3; None: one of its own. ``settings`` change those that the
    engine gets. ``wait`` until a file can be had.
    """
    with contextlib.ExitStack() as stack:
        changed = dict(settings or {})
        if name == IN_BUCKET:
            pytest.importorskip("boto3", reason="missing: boto3")
            from videos.tests import buckets

            server = server or stack.enter_context(
                buckets.running(buckets.SeaweedFS, folder / "server")
            )
            changed = (
                {"S3_REGION": "us-east-1", "S3_PATH_STYLE": True} | server.settings() | changed
            )
        given = settings_for(folder) | {"BIND_PLAYBACK": binding} | changed
        stack.enter_context(override_settings(**given))
        yield from running(name, folder, server, wait and "certificate" not in more, **more)


def settings_for(folder):
    return {
        "DELIVERY": "nginx",
        "STORAGE": "local",
        "S3_BUCKET": "",
        "MEDIA_ROOT": folder / "media",
        "GRANT_KEY": KEY,
        "BIND_PLAYBACK": "device",
        "CORS_ALLOWED_ORIGINS": [ORIGIN],
        "CORS_ALLOW_ALL_ORIGINS": False,
    }


def running(name, folder, server, wait, **more):
    """Yield a running engine over some published files."""
    # nginx finds nothing of a bucket on the disk, where only the stage has it.
    root = folder / ("media" if server is None else "stage") / VERSIONS
    root.mkdir(parents=True)
    stage = Stage(root, mode=settings.BIND_PLAYBACK, origins=[ORIGIN])
    made = Engine(name, stage, 0)
    if server is not None:
        from videos.tests import buckets

        made.server, made.bucket = server, buckets.emptied(server)
        made.bucket.write(MARK, b"")
    for path, (content, _) in FILES.items():
        made.publish(path, content)
    stage.snapshot.start()
    exchange = link_to(stage)

    async def app(scope, receive, send):
        if exchange.takes(scope):
            await exchange(scope, receive, send)
        else:
            await stage.app(scope, receive, send)

    with serving(app, http=protocol_of(stage), lifespan="off") as port:
        if not made.is_nginx:
            made.port = port
            yield made
        else:
            site = nginx_kit.site(
                folder / "nginx", web=[f"http://{HERE}:{port}"], port=nginx_kit.free_port(), **more
            )
            with nginx_kit.serving(site) as process:
                made.port = int(site.listen.rpartition(":")[2])
                made.process, made.site = process, site
                if wait:
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
