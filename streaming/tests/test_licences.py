"""Licences of ClearKey (W3C EME, section 9.1) and keys of tracks, with all engines."""

import json
import time
from base64 import urlsafe_b64encode
from uuid import uuid4

import pytest
from django.test import override_settings

from streaming.delivery import licences
from streaming.delivery.answers import Refusal
from streaming.tests.delivery_kit import Connection, wait_until
from streaming.tests.engines_kit import ENGINES, HERE, ORIGIN, assert_refused, started
from videos.encryption import content_keys, keys

SECRET = b"s" * 32
VERSION = "cs" + keys.secret_id(SECRET) + "0123456789ab"
OF_PROVIDER = "cp" + "0" * 8 + "0123456789ab"
SETTINGS = {"HLS_KEYS": [SECRET], "LICENCE_SERVERS": {}, "KEY_PROVIDER": ""}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with started(request.param, folder, settings=SETTINGS, binding="network") as made:
        for version in (VERSION, OF_PROVIDER):
            made.stage.publish("master.m3u8", b"#EXTM3U\n", version=version)
        yield made


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def keys_of(engine, version=VERSION):
    with override_settings(**SETTINGS):
        return content_keys.content_keys(engine.stage.video, version)


def ask(engine, body, *, method="POST", headers=None, version=VERSION, **grant):
    """Send a licence request, or another body, and return status, headers and body of the answer."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Connection(engine.port)
    try:
        given = {"Content-Type": "application/json", "Content-Length": len(sent), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        client.ask(engine.path("licence", version=version, **grant), method, lines)
        client.socket.sendall(sent)
        status, answered = client.head()
        return status, answered, client.read(int(answered.get("content-length", 0)))
    finally:
        client.close()


def wanted(engine, *tracks) -> dict[str, object]:
    return {"kids": [text(keys_of(engine)[each].key_id) for each in tracks], "type": "temporary"}


def test_a_session_of_the_video_gets_the_keys_that_it_asks_for(engine):
    given = keys_of(engine)
    status, headers, body = ask(
        engine, wanted(engine, "video", "audio"), headers={"Origin": ORIGIN}
    )

    assert status == 200
    assert json.loads(body) == {
        "keys": [
            {"kty": "oct", "kid": text(given[each].key_id), "k": text(given[each].key)}
            for each in ("video", "audio")
        ],
        "type": "temporary",
    }
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["access-control-allow-origin"] in ("*", ORIGIN)
    status, _, body = ask(engine, wanted(engine, "audio"))
    assert [each["kid"] for each in json.loads(body)["keys"]] == [text(given["audio"].key_id)]
    # A key that the version does not have is left out.
    both = {"kids": [text(b"x" * 16), text(given["video"].key_id)]}
    assert len(json.loads(ask(engine, both)[2])["keys"]) == 1


def test_a_key_is_sent_to_players_that_ask_for_it_themselves(engine):
    for track, key in keys_of(engine).items():
        status, headers, body = engine.get(f"keys/{track}", version=VERSION)
        assert (status, body) == (200, key.key)
        assert headers["content-type"] == "application/octet-stream"
        assert headers["cache-control"] == "no-store"
        found = engine.get(f"keys/{track}", version=VERSION, method="HEAD")
        assert found[::2] == (200, b"")


def test_both_are_refused_like_any_file(engine):
    body = wanted(engine, "video")
    for refused in (
        lambda **more: ask(engine, body, **more),
        lambda **more: engine.get("keys/video", version=VERSION, **more),
    ):
        assert_refused(refused(grant="x" * 64), 401, "grant_invalid")
        assert_refused(refused(seconds=-1), 401, "grant_expired")
        assert_refused(refused(video=uuid4()), 403, "wrong_video")
        assert_refused(refused(agent="Another/1.0"), 403, "wrong_device")
        assert_refused(refused(address="198.51.100.1"), 403, "wrong_device")
    assert_refused(
        engine.get("keys/video", version=VERSION, method="POST"), 405, "method_not_allowed"
    )
    found = engine.get("licence", version=VERSION)
    assert_refused(found, 405, "method_not_allowed")
    assert found[1]["allow"] == "post, options"


@pytest.mark.promise("refund-stops-playback")
def test_a_session_that_has_ended_gets_no_licence(engine):
    session, body = uuid4(), wanted(engine, "video")
    assert ask(engine, body, session=session)[0] == 200

    engine.stage.sessions.end(session)
    began = time.monotonic()
    wait_until(lambda: ask(engine, body, session=session)[0] == 410, seconds=2)
    assert time.monotonic() - began < 1

    assert_refused(ask(engine, body, session=session), 410, "session_ended")
    assert_refused(engine.get("keys/audio", version=VERSION, session=session), 410, "session_ended")


def test_no_other_version_has_keys_here(engine):
    body = wanted(engine, "video")
    for version in (
        VERSION[:-1] + "c",  # there is none
        "v1",  # it is clear
        OF_PROVIDER,
        "cs" + keys.secret_id(b"t" * 32) + VERSION[10:],
        "k" + keys.secret_id(SECRET) + "30" + "0123456789ab",  # whole segments: AES-128
    ):
        status, _, answer = ask(engine, body, version=version)
        assert status in (404, 405), version
        assert b'"k"' not in answer
        assert engine.get("keys/video", version=version)[0] == 404
    assert_refused(ask(engine, {"kids": [text(b"x" * 16)]}), 404, "not_found")
    for name in ("keys/0", "keys/text", "keys/", "licence/", "keys/video/1"):
        assert engine.get(name, version=VERSION)[0] in (404, 405)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b"3", b"\xff", b'{"kids": 3}', b'{"kids": []}', b'{"kids": [3]}',
        b'{"kids": ["\\u20ac"]}', b'{"kids": ["x"]}', b"[" * 4000,
        b'{"kids": ["AAAA"], "type": "persistent-license"}',
        json.dumps({"kids": ["AAAA"] * 65}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_licence_request_is_refused(engine, body):
    assert_refused(ask(engine, body), 400, "invalid")


def test_a_long_body_is_refused(engine):
    assert_refused(ask(engine, b"[" * 4097), 413, "too_large")


@pytest.mark.parametrize(
    ("grant", "status", "code"), [(None, 413, "too_large"), ("x" * 64, 401, "grant_invalid")]
)
def test_a_long_body_is_refused_before_it_has_arrived(engine, grant, status, code):
    """Nobody fills a disk with it: nginx would keep all of it first."""
    client = Connection(engine.port)
    try:
        more = {"grant": grant} if grant else {}
        path = engine.path("licence", version=VERSION, **more)
        client.ask(path, "POST", f"Content-Length: {10**12}\r\n")
        client.socket.sendall(b"[" * 8192)
        found, headers = client.head()
        assert found == status
        body = json.loads(client.read(int(headers["content-length"])))
        assert body["errors"][0]["code"] == code
    finally:
        client.close()


def test_a_body_that_does_not_arrive_is_given_up(engine, monkeypatch):
    monkeypatch.setattr(licences, "_BODY_SECONDS", 0.2)
    client = Connection(engine.port)
    try:
        path = engine.path("licence", version=VERSION)
        client.ask(path, "POST", "Content-Length: 100\r\n")
        assert client.head()[0] == 400
    finally:
        client.close()


def test_pages_of_other_sites_may_ask(engine):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type"}  # fmt: skip
    status, headers, body = engine.get("licence", version=VERSION, method="OPTIONS", headers=asked)

    assert (status, body) == (204, b"")
    assert headers["access-control-allow-methods"] == "post, options"
    assert "Content-Type".lower() in headers["access-control-allow-headers"].lower()


def test_a_preview_gets_the_keys_of_its_version(engine):
    """The segments after its end are refused here, whatever key opens them."""
    grant = engine.stage.preview(2, 8, version=VERSION, address=HERE)
    other = engine.stage.preview(2, 8, version=VERSION[:-1] + "c", address=HERE)

    assert ask(engine, wanted(engine, "video"), grant=grant)[0] == 200
    assert engine.get("keys/video", version=VERSION, grant=grant)[0] == 200
    assert_refused(ask(engine, wanted(engine, "video"), grant=other), 403, "wrong_video")


def test_a_session_asks_only_so_often():
    turns, one, other = licences.Turns(3), b"1" * 16, b"2" * 16
    for _ in range(3):
        turns.take(one)
    with pytest.raises(Refusal) as refused:
        turns.take(one)
    assert (refused.value.status, refused.value.code) == (429, "throttled")
    assert 1 <= int(dict(refused.value.headers)[b"retry-after"]) <= 60
    turns.take(other)
    unlimited = licences.Turns(0)
    for _ in range(100):
        unlimited.take(one)


def test_the_limit_holds_for_requests(engine, monkeypatch):
    monkeypatch.setattr(engine.stage.app, "_turns", licences.Turns(3))
    session, body = uuid4(), wanted(engine, "video")
    found = [ask(engine, body, session=session)[0] for _ in range(8)]
    found += [engine.get("keys/video", version=VERSION, session=session)[0]]
    assert found[0] == 200
    assert found[-1] == 429
    assert ask(engine, body, session=uuid4())[0] == 200


def test_with_a_licence_server_nothing_is_given_here(engine):
    if engine.is_nginx:
        pytest.skip("of the settings of one process")
    with override_settings(**SETTINGS | {"LICENCE_SERVERS": {"com.widevine.alpha": "https://x"}}):
        assert_refused(engine.get("keys/video", version=VERSION), 404, "not_found")
        assert_refused(ask(engine, wanted(engine, "video")), 404, "not_found")
