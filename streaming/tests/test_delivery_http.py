"""The delivery's responses: every status and every header."""

import asyncio
import json
import os
import time
from uuid import uuid4

import pytest

from streaming.delivery.asgi import LazyDelivery
from streaming.delivery.messages import Received, Scope
from streaming.tests.delivery_kit import AGENT, Stage, request

SEGMENT = bytes(range(256)) * 100  # 25,600 bytes
PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:7\n"
FILES = {
    "master.m3u8": (PLAYLIST, "application/vnd.apple.mpegurl", "private, max-age=2"),
    "manifest.mpd": (b"<MPD/>", "application/dash+xml", "private, max-age=2"),
    "1080/init.mp4": (b"ftyp", "video/mp4", "private, max-age=31536000, immutable"),
    "1080/1.m4s": (SEGMENT, "video/iso.segment", "private, max-age=31536000, immutable"),
    "captions/en.vtt": (b"WEBVTT\n", "text/vtt", "private, max-age=2"),
    "poster.jpg": (b"\xff\xd8", "image/jpeg", "private, max-age=31536000, immutable"),
}
EXPOSED = "Content-Length, Content-Range, ETag, Accept-Ranges, Retry-After, X-Request-ID"


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    for name, (content, _type, _cache) in FILES.items():
        made.publish(name, content)
    yield made
    made.close()


def assert_on_every_answer(answer):
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["access-control-expose-headers"] == EXPOSED
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_whole(stage, name):
    content, content_type, cache = FILES[name]

    answer = stage.get(name)

    assert answer.status == 200
    assert answer.body == content
    assert answer.complete
    assert_on_every_answer(answer)
    assert answer.headers["content-type"] == content_type
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["cache-control"] == cache
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')  # strong


@pytest.mark.parametrize("name", FILES)
def test_head_has_the_headers_of_get_and_no_body(stage, name):
    get, head = stage.get(name), stage.get(name, "HEAD")

    assert head.status == 200
    assert head.body == b""
    varying = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }


SIZE = len(SEGMENT)


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        ("bytes=-999999", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        (f"bytes=5-{SIZE + 10}", 5, SIZE - 1),
        ("bytes=5-999999999999999999", 5, SIZE - 1),
        (f"bytes=0-{2**64 - 1}", 0, SIZE - 1),  # "to the end", as some players ask for it
        (f"bytes=-{2**64}", 0, SIZE - 1),
        ("BYTES=0-9", 0, 9),
        (" bytes=0-9 ", 0, 9),
    ],
)
def test_a_range_is_sent_as_a_part(stage, header, start, end):
    answer = stage.get("1080/1.m4s", headers={"Range": header})

    assert answer.status == 206
    assert answer.body == SEGMENT[start : end + 1]
    assert answer.headers["content-range"] == f"bytes {start}-{end}/{SIZE}"
    assert answer.headers["content-length"] == str(end - start + 1)
    assert answer.headers["content-type"] == "video/iso.segment"
    assert answer.headers["etag"] == stage.get("1080/1.m4s").headers["etag"]
    assert_on_every_answer(answer)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,5-6",  # several: the whole is an allowed answer, and costs the least
        ",".join(["bytes=0-1"] + [f"{n}-{n}" for n in range(1000)]),
        "bytes=9-5",
        "bytes=-",
        "bytes=",
        "bytes",
        "",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=٣-٤",
        "bytes=--1",
        "bytes=0x1-2",
        "items=0-1",
        "bytes=" + "1" * 5000 + "-",
    ],
)
def test_a_header_that_is_no_single_range_is_ignored(stage, header):
    answer = stage.get("1080/1.m4s", headers={"Range": header})

    assert answer.status == 200
    assert answer.body == SEGMENT
    assert "content-range" not in answer.headers


@pytest.mark.parametrize(
    "header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", f"bytes={2**64}-"]
)
def test_a_range_outside_the_file_is_refused(stage, header):
    answer = stage.get("1080/1.m4s", headers={"Range": header})

    assert answer.status == 416
    assert answer.code == "range_not_satisfiable"
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert_on_every_answer(answer)


def test_an_empty_file_has_no_ranges(stage):
    stage.publish("empty.vtt", b"")

    assert stage.get("empty.vtt").body == b""
    assert stage.get("empty.vtt").headers["content-length"] == "0"
    assert stage.get("empty.vtt", headers={"Range": "bytes=0-"}).status == 416


def test_head_knows_no_ranges(stage):
    answer = stage.get("1080/1.m4s", "HEAD", headers={"Range": "bytes=0-9"})

    assert answer.status == 200
    assert answer.headers["content-length"] == str(SIZE)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": "{tag}"}, 304),
        ({"If-None-Match": "W/{tag}"}, 304),
        ({"If-None-Match": '"other", {tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": "{bare}"}, 200),
        ({"If-None-Match": "{tag}", "Range": "bytes=0-9"}, 304),
        ({"If-None-Match": '"other"', "Range": "bytes=0-9"}, 206),
        ({"If-Match": "{tag}"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other", {tag}'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "W/{tag}"}, 412),
        ({"If-Match": '"other"', "If-None-Match": "{tag}"}, 412),
        ({"If-Range": "{tag}", "Range": "bytes=0-9"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-9"}, 200),
        ({"If-Range": "W/{tag}", "Range": "bytes=0-9"}, 200),
        ({"If-Range": "Sun, 06 Nov 1994 08:49:37 GMT", "Range": "bytes=0-9"}, 200),
        ({"If-Range": '"other"', "Range": f"bytes={SIZE}-"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(stage, method, headers, status):
    tag = stage.get("1080/1.m4s").headers["etag"]
    filled = {k: v.format(tag=tag, bare=tag.strip('"')) for k, v in headers.items()}

    answer = stage.get("1080/1.m4s", method, headers=filled)

    assert answer.status == (200 if (method, status) == ("HEAD", 206) else status)
    assert_on_every_answer(answer)
    if status == 304:
        assert answer.body == b""
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert "content-length" not in answer.headers
    if status == 412:
        assert (answer.code if method == "GET" else None) in {"precondition_failed", None}


def test_the_tag_is_of_the_content_not_of_the_copy(stage, tmp_path):

    one, two = stage.publish("one.m4s", b"same"), stage.publish("two.m4s", b"same")
    three = stage.publish("three.m4s", b"same")
    for path, at in [(one, 10**18), (two, 10**18), (three, 10**18 + 1)]:
        os.utime(path, ns=(at, at))

    tags = [stage.get(f"{name}.m4s").headers["etag"] for name in ("one", "two", "three")]
    assert tags[0] == tags[1]
    assert tags[0] != tags[2]


def assert_refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code)
    assert answer.complete
    assert_on_every_answer(answer)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["cache-control"] == "no-store"
    body = json.loads(answer.body)
    assert body["type"] == ("server_error" if status >= 500 else "client_error")
    assert body["errors"] == [{"code": code, "detail": body["errors"][0]["detail"], "attr": None}]
    for secret in (SEGMENT[:50], PLAYLIST):
        assert secret not in answer.body


def flip(text: str, place: int) -> str:
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda s: flip(s.grant(), 0), 401, "grant_invalid"),
        (lambda s: flip(s.grant(), 63), 401, "grant_invalid"),
        (lambda s: s.grant()[:-1], 401, "grant_invalid"),
        (lambda s: "x", 401, "grant_invalid"),
        (lambda s: s.grant(seconds=0), 401, "grant_expired"),
        (lambda s: s.grant(seconds=-3600), 401, "grant_expired"),
        (lambda s: s.grant(video=uuid4()), 403, "wrong_video"),
        (lambda s: s.grant(agent="curl", address="198.51.100.1"), 403, "wrong_device"),
    ],
)
@pytest.mark.parametrize("name", ["master.m3u8", "1080/1.m4s", "no-such.m4s"])
def test_grants_that_do_not_open(stage, make, status, code, name):
    assert_refused(stage.get(name, grant=make(stage)), status, code)


@pytest.mark.parametrize("mode", ["device", "network", "none"])
def test_the_binding_mode_reaches_the_delivery(tmp_path, mode):
    stage = Stage(tmp_path, mode=mode)
    stage.publish("1.m4s", b"x")
    grant = stage.grant(address="198.51.100.1")

    answer = stage.get("1.m4s", grant=grant)

    assert answer.status == (403 if mode == "network" else 200)
    stage.close()


@pytest.mark.parametrize("name", FILES)
def test_an_ended_session_gets_nothing(stage, name):
    stage.sessions.end(stage.session)

    assert_refused(stage.get(name), 410, "session_ended")


@pytest.mark.promise("refund-stops-playback")
def test_the_next_load_ends_a_session_and_leaves_others_running(stage):
    other = uuid4()
    assert stage.get("1080/1.m4s").status == 200

    stage.sessions.end(stage.session)
    stage.snapshot.step()

    assert_refused(stage.get("1080/1.m4s"), 410, "session_ended")
    assert stage.get("1080/1.m4s", grant=stage.grant(session=other)).status == 200


@pytest.mark.promise("refund-stops-playback")
def test_a_stale_snapshot_fails_closed(stage, monkeypatch):
    assert stage.get("1080/1.m4s").status == 200
    stage.snapshot.stop()
    monkeypatch.setattr(stage.snapshot, "_loaded_at", stage.snapshot._loaded_at - 5)

    answer = stage.get("1080/1.m4s")

    assert_refused(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_only_a_file_that_was_sent_marks_its_session_active(stage):
    stage.get("1080/1.m4s", grant=stage.grant(seconds=0))
    stage.get("1080/1.m4s", grant=stage.grant(video=uuid4()))
    stage.get("1080/1.m4s", "OPTIONS")
    assert stage.snapshot._touched == {}

    stage.get("1080/1.m4s")
    assert set(stage.snapshot._touched) == {stage.session.bytes}


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "X"]
)
def test_other_methods_are_refused(stage, method):
    answer = stage.get("1080/1.m4s", method)

    assert_refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("grant", ["good", "broken"])
def test_a_preflight_is_answered_without_a_grant(stage, grant):
    answer = stage.get(
        "1080/1.m4s",
        "OPTIONS",
        grant=stage.grant() if grant == "good" else "x",
        headers={"Origin": "https://player.example", "Access-Control-Request-Headers": "range"},
    )

    assert answer.status == 204
    assert answer.body == b""
    assert_on_every_answer(answer)
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "Range" in answer.headers["access-control-allow-headers"].split(", ")
    assert int(answer.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", "https://app.example"),
        ("https://evil.example", None),
        ("https://app.example.evil.example", None),
        ("http://app.example", None),
        ("null", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_with_a_list_of_origins_only_those_may_read(tmp_path, origin, allowed, method):
    stage = Stage(tmp_path, origins=["https://app.example", "null"])
    stage.publish("1.m4s", b"x")
    headers = {} if origin is None else {"Origin": origin}

    for grant in (stage.grant(), "broken"):
        answer = stage.get("1.m4s", method, headers=headers, grant=grant)
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers
    stage.close()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abcdefgh-1234", True), ("short", False), ("a" * 129, False), ("with space", False)],
)
def test_the_request_id_is_the_clients_when_it_is_sane(stage, given, kept):
    answer = stage.get("1080/1.m4s", headers={"X-Request-ID": given})

    assert (answer.headers["x-request-id"] == given) is kept


def test_request_ids_differ(stage):
    ids = {stage.get("poster.jpg").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


def test_a_mounted_application_sees_its_whole_path(stage):
    path = stage.path("1080/1.m4s")

    assert request(stage.app, "GET", "/vod" + path, root_path="/vod").status == 200
    assert request(stage.app, "GET", "/vod" + path).status == 404


def test_a_missing_user_agent_counts_as_a_device(stage):
    grant = stage.grant(agent="", address="198.51.100.1")

    answer = stage.get("1080/1.m4s", grant=grant, headers={"User-Agent": None})

    assert answer.status == 200
    assert stage.get("1080/1.m4s", grant=grant, headers={"User-Agent": AGENT}).status == 403


@pytest.mark.parametrize(
    ("everyone", "origin", "allowed"),
    [(True, "https://any.example", "*"), (False, "https://any.example", None)],
)
def test_the_application_takes_its_settings(settings, everyone, origin, allowed):
    settings.CORS_ALLOW_ALL_ORIGINS = everyone
    settings.CORS_ALLOWED_ORIGINS = [] if everyone else ["https://app.example"]
    application = LazyDelivery()

    answer = request(application, "OPTIONS", "/media/x", {"Origin": origin})

    assert answer.status == 204
    assert answer.headers.get("access-control-allow-origin") == allowed


def test_a_websocket_is_refused(stage):
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(stage.app({"type": "websocket"}, None, None))


def test_requests_wait_for_the_first_load(tmp_path):
    stage = Stage(tmp_path)
    stage.publish("1.m4s", b"x")
    path = stage.path("1.m4s")
    load = stage.sessions.load

    def load_slowly(since, now):
        time.sleep(0.2)
        return load(since, now)

    stage.snapshot._load = load_slowly

    async def receive() -> Received:
        return {"type": "http.disconnect"}

    async def ask_twenty_times():
        statuses = []

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        headers = [(b"user-agent", AGENT.encode())]
        scope = Scope(type="http", method="GET", path=path, headers=headers, client=None)
        await asyncio.gather(*(stage.app(scope, receive, send) for _ in range(20)))
        return statuses

    assert asyncio.run(ask_twenty_times()) == [200] * 20
    stage.close()


def test_no_descriptor_left_is_a_503_not_a_500(stage, monkeypatch):
    def none_left(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("streaming.delivery.files.os.open", none_left)

    assert_refused(stage.get("1080/1.m4s"), 503, "unavailable")


@pytest.mark.parametrize("put", ["nothing", "a file"])
def test_a_folder_of_videos_that_is_away_is_a_503_and_comes_back(stage, put):
    """Seen: every file was answered with 404, which players take for the end of the video."""
    elsewhere = stage.root.with_name("elsewhere")
    stage.root.rename(elsewhere)
    if put == "a file":
        stage.root.write_text("not a folder")

    assert_refused(stage.get("1080/1.m4s"), 503, "unavailable")

    if put == "a file":
        stage.root.unlink()
    elsewhere.rename(stage.root)
    assert stage.get("1080/1.m4s").status == 200
