"""One table for all engines of the delivery: the embedded one, and nginx over a folder and a bucket."""

import json
import os
from uuid import uuid4

import pytest

from streaming.tests.delivery_kit import Connection
from streaming.tests.engines_kit import (
    ENGINES,
    FILES,
    HERE,
    IN_BUCKET,
    ORIGIN,
    SEGMENT,
    SIZE,
    assert_on_every_answer,
    assert_refused,
    started,
)

# Headers that are of the server and not of the answer.
OF_THE_SERVER = {"date", "server", "connection", "keep-alive", "transfer-encoding"}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tmp_path_factory):
    with started(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_with_its_headers(engine, name, method):
    content, kind = FILES[name]

    status, headers, body = engine.get(name, method)

    assert status == 200
    assert body == (content if method == "GET" else b"")
    assert_on_every_answer(headers)
    assert headers["content-type"] == kind
    assert headers["content-length"] == str(len(content))
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"].startswith('"')
    is_text = name.endswith(("m3u8", "mpd", "vtt"))
    expected = "private, max-age=2" if is_text else "private, max-age=31536000, immutable"
    assert headers["cache-control"] == expected
    known = {
        *("accept-ranges", "access-control-expose-headers", "cache-control", "content-length"),
        *("content-security-policy", "content-type", "cross-origin-resource-policy", "etag"),
        *("referrer-policy", "vary", "x-content-type-options", "x-request-id"),
    }
    assert set(headers) - OF_THE_SERVER == known


RANGES = [
    # Range, the first and the last byte that are sent; None: the whole file; "416": a refusal
    ("bytes=0-0", (0, 0)),
    ("bytes=0-99", (0, 99)),
    ("bytes=100-", (100, SIZE - 1)),
    ("bytes=-1", (SIZE - 1, SIZE - 1)),
    ("bytes=-999999", (0, SIZE - 1)),
    (f"bytes=5-{SIZE + 10}", (5, SIZE - 1)),
    ("bytes=5-999999999999999999", (5, SIZE - 1)),
    ("BYTES=0-9", (0, 9)),
    ("bytes=0-1,5-6", None),
    ("bytes=9-5", None),
    ("bytes=010-9", None),
    ("bytes=-", None),
    ("bytes=", None),
    ("bytes", None),
    ("bytes=a-b", None),
    ("bytes=+1-2", None),
    ("bytes=1 - 2", None),
    ("bytes=--1", None),
    ("items=0-1", None),
    ("bytes=" + "1" * 5000 + "-", None),
    (f"bytes={SIZE}-", "416"),
    (f"bytes={SIZE}-{SIZE + 5}", "416"),
    ("bytes=-0", "416"),
]


@pytest.mark.parametrize(("given", "expected"), RANGES)
def test_ranges(engine, given, expected):
    status, headers, body = engine.get("1080/1.m4s", headers={"Range": given})

    assert_on_every_answer(headers)
    if expected == "416":
        assert status == 416
        assert json.loads(body)["errors"][0]["code"] == "range_not_satisfiable"
        assert headers["content-range"] == f"bytes */{SIZE}"
        assert "etag" not in headers
    elif expected is None:
        assert (status, body) == (200, SEGMENT)
        assert "content-range" not in headers
        assert headers["accept-ranges"] == "bytes"
    else:
        first, last = expected
        assert status == 206
        assert body == SEGMENT[first : last + 1]
        assert headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
        assert headers["accept-ranges"] == "bytes"
        assert headers["content-type"] == "video/iso.segment"


def test_a_text_has_ranges_too_and_an_empty_one_has_none(engine):
    status, headers, body = engine.get("master.m3u8", headers={"Range": "bytes=0-6"})
    assert (status, body, headers["accept-ranges"]) == (206, b"#EXTM3U", "bytes")

    status, headers, _ = engine.get("empty.vtt", headers={"Range": "bytes=0-"})
    if engine.name == IN_BUCKET:  # docs/adr/0027-nginx-asks-the-bucket.md
        assert (status, headers["content-length"]) == (200, "0")
    else:
        assert (status, headers["content-range"]) == (416, "bytes */0")


def test_head_knows_no_ranges(engine):
    status, headers, _ = engine.get("1080/1.m4s", "HEAD", {"Range": "bytes=0-9"})
    assert (status, headers["content-length"]) == (200, str(SIZE))


CONDITIONS = [
    ({"If-None-Match": "{tag}"}, 304),
    ({"If-None-Match": "W/{tag}"}, 304),
    ({"If-None-Match": '"other", {tag}'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-None-Match": "{tag}", "Range": "bytes=0-4"}, 304),
    ({"If-None-Match": '"other"', "Range": "bytes=0-4"}, 206),
    ({"If-Match": "{tag}"}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": '"other", {tag}'}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": "W/{tag}"}, 412),
    ({"If-Range": "{tag}", "Range": "bytes=0-4"}, 206),
    ({"If-Range": '"other"', "Range": "bytes=0-4"}, 200),
    ({"If-Range": "W/{tag}", "Range": "bytes=0-4"}, 200),
    ({"If-Range": "Sun, 06 Nov 1994 08:49:37 GMT", "Range": "bytes=0-4"}, 200),
    ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
]


@pytest.mark.parametrize(("conditions", "status"), CONDITIONS)
@pytest.mark.parametrize("name", ["master.m3u8", "1080/1.m4s"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(engine, method, name, conditions, status):
    tag = engine.get(name)[1]["etag"]

    if engine.name == "nginx" and name == "master.m3u8" and tag_of_if_match(conditions):
        status = 412  # nginx knows no tag of a text (docs/adr/0025-nginx-sends-and-checks.md)
    given = {header: value.format(tag=tag) for header, value in conditions.items()}
    answered, headers, body = engine.get(name, method, given)

    assert answered == (200 if (method, status) == ("HEAD", 206) else status)
    assert_on_every_answer(headers)
    if status == 412:
        if method == "GET":
            assert json.loads(body)["errors"][0]["code"] == "precondition_failed"
        assert headers["cache-control"] == "no-store"
    else:
        assert headers["etag"] == tag
        assert headers["accept-ranges"] == "bytes"
        assert headers["cache-control"].startswith("private")


def tag_of_if_match(conditions):
    return "{tag}" in conditions.get("If-Match", "")


def flipped(text: str, place: int) -> str:
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda s: flipped(s.grant(), 0), 401, "grant_invalid"),
        (lambda s: flipped(s.grant(), 30), 401, "grant_invalid"),
        (lambda s: flipped(s.grant(), 63), 401, "grant_invalid"),
        (lambda s: s.grant()[:-1], 401, "grant_invalid"),
        (lambda s: s.grant() + "A", 401, "grant_invalid"),
        (lambda s: "x", 401, "grant_invalid"),
        (lambda s: s.grant(seconds=0), 401, "grant_expired"),
        (
            lambda s: s.grant(seconds=-3600, agent="other", address="198.51.100.1"),
            401,
            "grant_expired",
        ),
        (lambda s: s.grant(video=uuid4()), 403, "wrong_video"),
        (lambda s: s.grant(agent="curl", address="198.51.100.1"), 403, "wrong_device"),
    ],
)
@pytest.mark.parametrize("name", ["master.m3u8", "1080/1.m4s", "no-such.m4s"])
def test_grants_that_do_not_open(engine, make, status, code, name):
    assert_refused(engine.get(name, grant=make(engine.stage)), status, code)


def test_the_device_or_the_network_is_enough(engine):
    same_device = engine.path("1080/1.m4s", address="198.51.100.1")
    same_network = engine.path("1080/1.m4s", agent="another", address="127.0.0.200")
    for _ in range(2):  # the second time from what is kept
        assert engine.fetch(same_device)[0] == 200
        assert engine.fetch(same_network)[0] == 200
        assert engine.fetch(same_device, headers={"User-Agent": "x"})[0] in {200, 403}


def test_a_kept_grant_opens_for_no_other_device_and_no_other_video(engine):
    path = engine.path("1080/1.m4s", address="198.51.100.1", agent="one")
    for _ in range(2):
        client = Connection(engine.port)
        lines = f"GET {path} HTTP/1.1\r\nHost: t\r\nUser-Agent: one\r\n\r\n"
        client.socket.sendall(lines.encode())
        assert client.head()[0] == 200
        client.close()
        assert_refused(engine.fetch(path), 403, "wrong_device")
    other = path.replace(str(engine.stage.video), str(uuid4()))
    assert_refused(engine.fetch(other), 403, "wrong_video")


def test_a_user_agent_of_other_bytes(engine):
    agent = "Caf\xe9 \xff" + "x" * 600
    path = engine.path("1080/1.m4s", agent=agent, address="198.51.100.1")
    for sent, status in ((agent, 200), (agent + "y", 200), (agent.replace("\xff", "\xfe"), 403)):
        client = Connection(engine.port)
        client.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: t\r\nUser-Agent: {sent}\r\n\r\n".encode("latin-1")
        )
        assert client.head()[0] == status
        client.close()


def test_an_id_in_capitals_is_the_same_video(engine):
    path = engine.path("1080/1.m4s")
    shouted = path.replace(str(engine.stage.video), str(engine.stage.video).upper())
    assert engine.fetch(shouted)[2] == SEGMENT


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", ["1080/1.m4s", "none"])
def test_other_methods(engine, method, name):
    answer = engine.get(name, method, {"Content-Length": "0"})
    assert_refused(answer, 405, "method_not_allowed")
    assert answer[1]["allow"] == "get, head, options"


@pytest.mark.parametrize("grant", [None, "x"])
@pytest.mark.parametrize("name", ["1080/1.m4s", "none"])
def test_a_preflight_needs_no_grant(engine, grant, name):
    given = {"Origin": ORIGIN, "Access-Control-Request-Headers": "range"}
    status, headers, body = engine.get(name, "OPTIONS", given, grant=grant)

    assert (status, body) == (204, b"")
    assert_on_every_answer(headers)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-methods"] == "get, head, options"
    assert "range" in headers["access-control-allow-headers"]
    assert int(headers["access-control-max-age"]) > 0
    assert "cache-control" not in headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (ORIGIN, True),
        ("https://evil.example", False),
        ("https://app.example.evil.example", False),
        ("null", False),
    ],
)
@pytest.mark.parametrize("grant", [None, "x"])
def test_only_allowed_origins_read_answers_and_refusals(engine, origin, allowed, grant):
    headers = engine.get("1080/1.m4s", headers={"Origin": origin}, grant=grant)[1]
    assert headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert headers["vary"] == "origin"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abcdefgh-1234", True), ("short", False), ("a" * 129, False), ("with space", False)],
)
def test_the_request_id(engine, given, kept):
    headers = engine.get("poster.jpg", headers={"X-Request-ID": given})[1]
    assert (headers["x-request-id"] == given) is kept


TRICKS = [
    "{video}/v1/../v1/1080/1.m4s",
    "{video}/v1/../../{video}/v1/1080/1.m4s",
    "{video}/v1/./1080/1.m4s",
    "{video}/v1//1080/1.m4s",
    "/{video}/v1/1080/1.m4s",
    "{video}/v1%2f1080/1.m4s",
    "{video}/v1/1080%2F1.m4s",
    "{video}%5cv1/1080/1.m4s",
    "{video}/%76%31/1080/1.m4s",
    "{video}/v1/%2e%2e/v1/1080/1.m4s",
    "{video}/v1/x%2f..%2f1080/1.m4s",
    "{video}/v1/..\\v1\\1080\\1.m4s",
    "{video}/v1/1080\\1.m4s",
    "{video}/v1/1080/1.m4s%00",
    "{video}/v1/1080/1.m4s%00.m4s",
    "{video}/v1/1080/1.m4s/",
    "{video}/v1/1080/",
    "{video}/v1/.hidden.m4s",
    "{video}/v1/secret.txt",
    "{video}/v1/1080/1.M4S",
    "{video}/v1/link.m4s",
    "{video}/v1/away/secret.m4s",
    "{video}/v1/pipe.m4s",
    "{video}/v9/1080/1.m4s",
    "{video}/v2/1080/1.m4s",
    "{video}/v1/a/b/c/d/e/f/g/h/i/1.m4s",
    "{video}/v1/" + "a" * 300 + ".m4s",
    "{video}/v1/" + "a" * 5000 + ".m4s",
    "{video}/v1/1080/1.m4s;x=1",
    "{video}/v1/1080/1.m4s%20",
    "../secret.m4s",
    "..%2fsecret.m4s",
    "",
]


@pytest.fixture(scope="module")
def tempted(engine):
    """The engine, with files beside the published ones, and ways to them."""
    root, version = engine.stage.root, engine.stage.root / str(engine.stage.video) / "v1"
    for place in (root.parent, root, root / str(engine.stage.video), version):
        (place / "secret.m4s").write_bytes(b"secret")
    (version / "secret.txt").write_bytes(b"secret")
    (version / ".hidden.m4s").write_bytes(b"secret")
    (version / "link.m4s").symlink_to(root.parent / "secret.m4s")
    (version / "away").symlink_to(root.parent)
    (version.parent / "v9").symlink_to("v1")
    os.mkfifo(version / "pipe.m4s")
    if engine.bucket is not None:
        for folder in (
            "",
            "videos/",
            f"videos/{engine.stage.video}/",
            f"videos/{version.parent.name}/v1/",
        ):
            for name in ("secret.m4s", "secret.txt", ".hidden.m4s"):
                engine.bucket.write(f"{folder}{name}", b"secret")
    return engine


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-3"}])
def test_tricks_with_paths(tempted, trick, more):
    grant = tempted.stage.grant(address=HERE)
    path = f"/media/{grant}/{trick.format(video=tempted.stage.video)}"

    status, headers, body = tempted.fetch(path, headers=more)

    # nginx's own parser answers some with 400, before any address is looked up.
    assert status == 404 or (tempted.is_nginx and status == 400)
    assert b"secret" not in body
    assert body[:3] != SEGMENT[:3]
    if status == 404:
        assert_refused((status, headers, body), 404, "not_found")


@pytest.mark.parametrize(
    "start", ["/MEDIA/", "//media/", "/x/../media/", "/ranged/media/", "/%6dedia/"]
)
def test_other_ways_to_the_prefix(engine, start):
    path = engine.path("1080/1.m4s").replace("/media/", start, 1)
    for more in ({}, {"Range": "bytes=0-3"}):
        status, _, body = engine.fetch(path, headers=more)
        assert status in {400, 404}
        assert SEGMENT[:4] not in body


@pytest.mark.parametrize(
    "grant",
    [
        "x%3fy",
        "%3f%20HTTP%0d%0aX-Evil:%201%0d%0a",
        "%0aX-Evil:1",
        "a%20b",
        "%23",
        "%00",
        "{grant}%3f",
    ],
)
@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-3"}])
def test_nothing_is_put_into_another_request_in_the_place_of_the_grant(engine, grant, more):
    text = grant.format(grant=engine.stage.grant(address=HERE))

    status, _, body = engine.fetch(engine.path("1080/1.m4s", grant=text), headers=more)

    assert status in ({404, 400} if engine.is_nginx else {404})
    assert b"not_found" in body or status == 400


def test_a_query_changes_nothing(engine):
    assert engine.fetch(engine.path("1080/1.m4s") + "?x=%2f..//")[2] == SEGMENT
    status, _, body = engine.fetch(engine.path("1080/1.m4s") + "?a", headers={"Range": "bytes=0-3"})
    assert (status, body) == (206, SEGMENT[:4])
