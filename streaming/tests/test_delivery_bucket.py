"""nginx over a bucket: what it asks, how often, what it keeps, and what clients see when it fails."""

import json
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from streaming.delivery.nginx import bucket
from streaming.tests import nginx_kit
from streaming.tests.bucket_kit import between
from streaming.tests.delivery_kit import Connection, random_bytes, wait_until
from streaming.tests.engines_kit import (
    HERE,
    IN_BUCKET,
    ORIGIN,
    SEGMENT,
    assert_on_every_answer,
    assert_refused,
    started,
)

buckets = pytest.importorskip("videos.tests.buckets", reason="missing: boto3")
pytestmark = [pytest.mark.s3, pytest.mark.programs]


class Served:
    """An engine over a bucket, and the server between the two."""

    def __init__(self, engine, asked):
        self.engine, self.asked = engine, asked
        self.folder = engine.site.folder
        self._numbers = iter(range(100, 10**5))

    def new(self, content: bytes = SEGMENT) -> str:
        """Publish a segment that nobody has asked for, and return its name."""
        name = f"1080/{next(self._numbers)}.m4s"
        self.engine.publish(name, content)
        return name


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with buckets.running(buckets.SeaweedFS, tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def served(server, tmp_path_factory):
    with (
        between(server.port) as asked,
        started(
            IN_BUCKET,
            tmp_path_factory.mktemp("engine"),
            server=server,
            settings={"S3_ENDPOINT": f"http://{HERE}:{asked.port}"},
        ) as engine,
    ):
        yield Served(engine, asked)


@pytest.fixture(autouse=True)
def _as_it_is(request):
    """Let the bucket answer again after each test."""
    yield
    if "served" in request.fixturenames:
        asked = request.getfixturevalue("served").asked
        asked.instead, asked.only, asked.pause = None, ("",), 0.0


# --- fetched once ---------------------------------------------------------------------------------


def test_each_object_of_a_new_video_is_fetched_once_for_forty_viewers(served):
    engine, asked = served.engine, served.asked
    names = ["new.m3u8", *(served.new(random_bytes(300_000)) for _ in range(3))]
    text = b"#EXTM3U\n#new\n"
    engine.publish("new.m3u8", text)
    asked.pause = 0.3  # all of them come before the first one is answered
    together = threading.Barrier(40)

    def watch(_):
        session, got = uuid4(), []
        together.wait(30)
        for name in names:
            status, _headers, body = engine.get(name, session=session)
            got.append((status, body))
        return got

    with ThreadPoolExecutor(40) as viewers:
        seen = list(viewers.map(watch, range(40)))

    root = engine.stage.root / str(engine.stage.video) / "v1"
    expected = [(200, (root / name).read_bytes()) for name in names]
    assert all(got == expected for got in seen)
    assert [asked.count(name) for name in names] == [1] * len(names)


def test_a_copy_is_kept_under_the_objects_key_and_not_for_a_grant(served):
    engine, asked, name = served.engine, served.asked, served.new()
    first, second = engine.path(name, session=uuid4()), engine.path(name, session=uuid4())
    for path in (first, second, second + "?query", first.replace("v1", "v1")):
        assert engine.fetch(path)[2] == SEGMENT
    assert engine.fetch(second, headers={"Range": "bytes=5-9"})[2] == SEGMENT[5:10]
    assert engine.fetch(first, "HEAD")[0] == 200
    assert asked.count(name) == 1
    kept = [path.read_bytes() for path in (served.folder / "cache").rglob("*") if path.is_file()]
    assert any(name.encode() in each for each in kept)
    for path in (first, second):
        assert not any(path.split("/")[2].encode() in each for each in kept)


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("HEAD", {}, (200, b"")),
        ("GET", {"Range": "bytes=99000-"}, (206, SEGMENT[99000:])),
        ("GET", {"Range": "bytes=200000-"}, (416, None)),
        ("GET", {"If-None-Match": "*"}, (304, b"")),
        ("GET", {"If-Match": '"x"'}, (412, None)),
    ],
)
def test_the_first_request_may_be_for_less_than_all(served, method, headers, expected):
    name = served.new()
    status, _, body = served.engine.get(name, method, headers)
    assert status == expected[0]
    assert expected[1] is None or body == expected[1]
    assert served.engine.get(name)[2] == SEGMENT
    assert {given[0] for given in served.asked.asked} == {"GET"}


@pytest.mark.promise("refund-stops-playback")
def test_a_kept_copy_is_refused_to_a_session_that_has_ended(served):
    name, session = served.new(), uuid4()
    path = served.engine.path(name, session=session)
    assert served.engine.fetch(path)[0] == 200
    served.engine.stage.sessions.end(session)
    wait_until(lambda: served.engine.fetch(path)[0] == 410, seconds=2)
    assert served.engine.get(name)[0] == 200


@pytest.mark.promise("refund-stops-playback")
def test_a_request_that_waits_for_the_bucket_gets_nothing_when_its_session_ends(served):
    name, session = served.new(), uuid4()
    served.asked.pause = 2.0
    client = Connection(served.engine.port)
    client.ask(served.engine.path(name, session=session))
    assert served.engine.get("poster.jpg", session=session)[0] == 200  # there is a copy of it
    served.engine.stage.sessions.end(session)
    assert client.read(1000) == b""
    client.close()
    served.asked.pause = 0.0
    assert served.engine.get(name)[2] == SEGMENT


def test_a_client_that_goes_away_leaves_the_copy_to_the_others(served):
    name = served.new(content := random_bytes(6_000_000))
    client = Connection(served.engine.port, receive_buffer=16_384)
    client.ask(served.engine.path(name))
    client.head()
    client.close()
    assert served.engine.get(name)[2] == content
    assert served.asked.count(name) == 1


def test_a_slow_client_does_not_hold_up_the_others(served):
    name = served.new(content := random_bytes(6_000_000))
    client = Connection(served.engine.port, receive_buffer=16_384)
    client.ask(served.engine.path(name))
    client.head()
    try:
        began = time.monotonic()
        assert served.engine.get(name)[2] == content
        assert time.monotonic() - began < 5
    finally:
        client.close()


# --- what passes ----------------------------------------------------------------------------------


def test_nothing_of_a_client_reaches_the_bucket(served):
    name = served.new()
    given = {
        "Authorization": "Bearer of-the-client", "Cookie": "a=b", "X-Amz-Acl": "public-read",
        "X-Amz-Date": "20200101T000000Z", "Range": "bytes=0-9", "X-Forwarded-For": "192.0.2.1",
        "Origin": ORIGIN, "Referer": "https://app.example/", "X-Request-ID": "of-the-client-1",
    }  # fmt: skip
    path = served.engine.path(name)
    assert served.engine.fetch(path + "?acl&uploads", headers=given)[2] == SEGMENT[:10]
    (asked,) = [each for each in served.asked.asked if each[1].endswith(name)]
    assert set(asked[2]) == {"authorization", "host", "x-amz-content-sha256", "x-amz-date"}
    assert asked[1] == f"/vod-media/vod/videos/{served.engine.stage.video}/v1/{name}"
    assert asked[2]["authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
    assert path.split("/")[2] not in str(asked)


EVIL = [
    ("Server", "evil"),
    ("X-Amz-Request-Id", "evil"),
    ("X-Amz-Meta-Owner", "evil"),
    ("Set-Cookie", "evil=1"),
    ("Access-Control-Allow-Origin", "https://evil.example"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Cache-Control", "public, max-age=9"),
    ("Expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ("Vary", "evil"),
    ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Content-Type", "text/html"),
    ("Location", "/evil"),
    ("Content-Disposition", "attachment"),
    ("Content-Language", "evil"),
    ("Link", "<evil>"),
    ("X-Accel-Redirect", "/health/live"),
    ("X-Accel-Expires", "0"),
    ("X-Accel-Limit-Rate", "1"),
    ("Content-Security-Policy", "evil"),
    ("X-Request-ID", "evil-evil"),
    ("WWW-Authenticate", "Basic evil"),
    ("Refresh", "0; evil"),
    ("Trailer", "evil"),
    ("Accept-Ranges", "none"),
    ("ETag", '"of-the-object"'),
]


@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-3"}, {"If-None-Match": '"of-the-object"'}])
def test_no_header_of_the_bucket_reaches_a_client(served, more):
    name = served.new()
    served.asked.instead = (200, EVIL, SEGMENT)
    for _ in range(2):  # from the bucket, and from the copy
        status, headers, body = served.engine.get(name, headers={"Origin": ORIGIN, **more})
        assert status == {"Range": 206, "If-None-Match": 304}.get(next(iter(more), ""), 200)
        assert body in (SEGMENT, SEGMENT[:4], b"")
        assert headers.pop("etag") == '"of-the-object"'
        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["cache-control"] == "private, max-age=31536000, immutable"
        assert headers["accept-ranges"] == "bytes"
        assert headers.get("content-type", "video/iso.segment") == "video/iso.segment"
        assert_on_every_answer(headers)
        assert "evil" not in str(headers)
        assert not {"set-cookie", "expires", "location", "www-authenticate"} & set(headers)
    assert served.asked.count(name) == 1


FAILURES = [
    *(301, 302, 304, 307, 400, 401, 403, 404, 405, 409, 412, 416, 418, 429),
    *(500, 501, 502, 503, 599),
]


@pytest.mark.parametrize("status", FAILURES)
@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-3"}])
def test_a_failure_of_the_bucket_becomes_an_answer_of_ours(served, status, more):
    name = served.new()
    served.asked.instead = (status, EVIL, b"<Error>evil</Error>")
    served.asked.only = (name,)

    answer = served.engine.get(name, headers=more)

    if status == 404:
        assert_refused(answer, 404, "not_found")
    else:
        assert_refused(answer, 503, "unavailable")
    assert "evil" not in str(answer)
    served.asked.instead = None
    assert served.engine.get(name)[2] == SEGMENT  # nothing of it was kept


def test_an_object_that_is_cut_is_not_kept(served):
    name = served.new()
    served.asked.instead = (
        200,
        [("Content-Length", str(len(SEGMENT))), ("X-Cut", "1")],
        SEGMENT[:50],
    )
    client = Connection(served.engine.port)
    client.ask(served.engine.path(name))
    client.head()
    assert client.read(len(SEGMENT)) == SEGMENT[:50]
    client.close()
    served.asked.instead = None
    assert served.engine.get(name)[2] == SEGMENT


# --- outages --------------------------------------------------------------------------------------


def test_while_the_bucket_is_away_the_copies_stand_and_the_rest_is_refused(served, server):
    engine, kept, missing = served.engine, served.new(), served.new()
    assert engine.get(kept)[0] == engine.get("master.m3u8")[0] == 200
    server.kill()
    try:
        time.sleep(2.2)  # after that nginx would ask whether the text has changed
        assert engine.get(kept)[2] == SEGMENT
        assert engine.get("master.m3u8")[0] == 200
        assert_refused(engine.get(missing), 503, "unavailable")
    finally:
        server.start()
    wait_until(lambda: engine.get(missing)[0] == 200, seconds=30)


def test_an_object_that_leaves_the_bucket_leaves_the_service(served):
    served.engine.publish("leaving.vtt", b"WEBVTT\n")
    assert served.engine.get("leaving.vtt")[0] == 200
    served.engine.bucket.delete(f"videos/{served.engine.stage.video}/v1/leaving.vtt")
    wait_until(lambda: served.engine.get("leaving.vtt")[0] == 404, seconds=4)
    assert_refused(served.engine.get("leaving.vtt"), 404, "not_found")


def test_a_bucket_without_its_mark_is_another_one(served):
    served.engine.bucket.delete(".vod-media")
    try:
        wait_until(lambda: served.engine.get("1080/77.m4s")[0] == 503, seconds=4)
        assert_refused(served.engine.get("1080/77.m4s"), 503, "unavailable")
    finally:
        served.engine.bucket.write(".vod-media", b"")
    wait_until(lambda: served.engine.get("1080/77.m4s")[0] == 404, seconds=4)


def test_the_mark_has_no_address(served):
    for path in ("/internal/bucket", "/internal//bucket", "/%69nternal/bucket"):
        assert served.engine.fetch(path)[0] == 404


# --- keys -----------------------------------------------------------------------------------------


def test_only_the_owner_reads_the_keys(served):
    for path in served.folder.iterdir():
        if path.is_file():
            is_secret = buckets.SECRET.encode() in path.read_bytes()
            assert is_secret == (path.name == "delivery.json"), path
    assert stat.S_IMODE((served.folder / "delivery.json").stat().st_mode) == 0o600


def test_no_grant_is_written_into_the_log(served):
    served.asked.instead = (503, EVIL, b"")
    grant = served.engine.stage.grant(address=HERE)
    for name in ("1080/77.m4s", served.new()):
        served.engine.get(name, grant=grant)
    served.asked.instead = (404, [*EVIL, ("Server", "twice")], b"")  # also for the mark
    served.engine.get("1080/78.m4s", grant=grant)
    assert "/media/" not in (served.folder / "log").read_text()


def test_a_wrong_key_is_a_failure_of_the_bucket_and_is_reported(server, tmp_path, monkeypatch):
    monkeypatch.setattr(bucket, "REPORT", "1s")
    changed = {"S3_SECRET_KEY": "another"}
    with started(IN_BUCKET, tmp_path, server=server, settings=changed, wait=False) as engine:
        wait_until(lambda: engine.get("none.txt")[0] == 404)  # the first exchange
        assert_refused(engine.get("1080/1.m4s"), 503, "unavailable")
        log = tmp_path / "nginx" / "log"
        told = "requests were refused because the bucket failed; its last status was 403"
        wait_until(lambda: told in log.read_text(), seconds=5)
        time.sleep(1.5)
        assert log.read_text().count(told) == 1
        assert "/media/" not in log.read_text()


@pytest.mark.parametrize("is_trusted", [True, False])
def test_tls_to_the_bucket_checks_its_certificate(server, tmp_path, is_trusted):
    pair = nginx_kit.certificate(tmp_path)
    (tmp_path / "other").mkdir()
    trusted = pair[0] if is_trusted else nginx_kit.certificate(tmp_path / "other")[0]
    with (
        between(server.port, certificate=pair) as asked,
        started(
            IN_BUCKET,
            tmp_path,
            server=server,
            settings={"S3_ENDPOINT": f"https://localhost:{asked.port}"},
            wait=False,
            bucket_ca=trusted,
        ) as engine,
    ):
        wait_until(lambda: engine.get("none.txt")[0] == 404)
        if is_trusted:
            wait_until(lambda: engine.get("1080/1.m4s")[2] == SEGMENT)
        else:
            assert_refused(engine.get("1080/1.m4s"), 503, "unavailable")
            assert asked.asked == []


def test_rclone_takes_the_signatures_too(tmp_path):
    with (
        buckets.running(buckets.Rclone, tmp_path / "rclone") as server,
        started(IN_BUCKET, tmp_path, server=server) as engine,
    ):
        assert engine.get("1080/1.m4s")[2] == SEGMENT
        assert json.loads(engine.get("1080/77.m4s")[2])["errors"][0]["code"] == "not_found"
