"""Sessions that end, and what was sent to them, with all engines; then nginx alone."""

import os
import signal
import ssl
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest

from streaming.delivery.nginx import link
from streaming.tests import nginx_kit
from streaming.tests.delivery_kit import AGENT, Connection, Stage, random_bytes, wait_until
from streaming.tests.engines_kit import (
    ENGINES,
    HERE,
    IN_BUCKET,
    SEGMENT,
    WITH_NGINX,
    assert_refused,
    started,
)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tmp_path_factory):
    with started(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.mark.promise("refund-stops-playback")
@pytest.mark.parametrize("name", ["1080/1.m4s", "master.m3u8"])
def test_the_end_of_a_session_is_known_within_half_a_second(engine, name):
    """Or later by what a busy machine adds to it."""
    session, other = uuid4(), uuid4()
    path, others = engine.path(name, session=session), engine.path(name, session=other)
    assert engine.fetch(path)[0] == engine.fetch(others)[0] == 200

    engine.stage.sessions.end(session)
    began = time.monotonic()
    wait_until(lambda: engine.fetch(path)[0] == 410)

    assert time.monotonic() - began < 3
    assert_refused(engine.fetch(path), 410, "session_ended")
    assert_refused(
        engine.get(name, headers={"Range": "bytes=0-3"}, session=session), 410, "session_ended"
    )
    assert engine.fetch(others)[0] == 200


@pytest.mark.promise("refund-stops-playback")
def test_without_news_everything_is_refused(engine):
    path = engine.path("1080/1.m4s")
    assert engine.fetch(path)[0] == 200
    engine.stage.sessions.away = True
    try:
        began = time.monotonic()
        wait_until(lambda: engine.fetch(path)[0] == 503, seconds=8)
        assert time.monotonic() - began > 3
        assert_refused(engine.fetch(path), 503, "unavailable")
    finally:
        engine.stage.sessions.away = False
    wait_until(lambda: engine.fetch(path)[0] == 200, seconds=3)


class Recorded:
    """What the snapshot of the engine records from now on."""

    def __init__(self, stage: Stage):
        self.served: dict[UUID, int] = {}
        self.begun: dict[UUID, int] = {}
        stage.snapshot._record = lambda parts: self._add(self.served, parts)
        stage.snapshot._record_begun = lambda parts: self._add(self.begun, parts)

    def _add(self, kept, parts):
        for session, bits in parts.items():
            kept[session] = kept.get(session, 0) | bits
        return {}


@pytest.fixture
def recorded(engine):
    return Recorded(engine.stage)


def test_a_whole_segment_is_recorded_as_delivered(engine, recorded):
    session = uuid4()
    for name in ("1080/1.m4s", "1080/2.m4s", "master.m3u8", "1080/init.mp4"):
        engine.get(name, session=session)
    wait_until(lambda: recorded.served.get(session) == 0b110, seconds=3)


def test_a_segment_in_ranges_is_delivered_when_all_of_it_was_sent(engine, recorded):
    session = uuid4()
    engine.get("1080/2.m4s", headers={"Range": "bytes=0-49999"}, session=session)
    wait_until(lambda: recorded.begun.get(session) == 0b100, seconds=3)
    assert session not in recorded.served

    engine.get("1080/2.m4s", headers={"Range": "bytes=50000-"}, session=session)
    wait_until(lambda: recorded.served.get(session) == 0b100, seconds=3)


def test_head_and_refusals_deliver_nothing(engine, recorded):
    session = uuid4()
    tag = engine.get("1080/1.m4s")[1]["etag"]
    engine.get("1080/1.m4s", "HEAD", session=session)
    engine.get("1080/1.m4s", headers={"If-None-Match": tag}, session=session)
    engine.get("1080/1.m4s", headers={"If-Match": '"x"'}, session=session)
    engine.get("1080/77.m4s", session=session)
    time.sleep(1.8)
    assert session not in recorded.served
    assert session not in recorded.begun


def test_a_segment_that_is_still_being_read_counts_as_begun(engine, recorded):
    """A buyer who opens all segments, reads none of them and asks for the money back."""
    engine.publish("1080/9.m4s", random_bytes(12_000_000))
    session = uuid4()
    client = Connection(engine.port, receive_buffer=16_384)
    client.ask(engine.path("1080/9.m4s", session=session))
    try:
        wait_until(lambda: recorded.begun.get(session) == 1 << 9, seconds=3)
        assert session not in recorded.served
    finally:
        client.close()


def test_a_file_marks_its_session_active(engine):
    session, other = uuid4(), uuid4()
    engine.get("master.m3u8", session=session)
    engine.get("1080/1.m4s", "OPTIONS", session=other)
    wait_until(lambda: session.bytes in engine.stage.snapshot._touched, seconds=2)
    assert other.bytes not in engine.stage.snapshot._touched


def test_a_text_that_changes_within_a_second_gets_another_tag(engine):
    path = engine.publish("growing.m3u8", b"#EXTM3U\n#1\n")
    tags, at = set(), int(datetime.now(UTC).timestamp()) * 10**9
    for number in range(3):
        text = b"#EXTM3U\n#%d\n" % number
        new = path.with_name(".new")
        new.write_bytes(text)
        os.utime(new, ns=(at + number * 10**7, at + number * 10**7))
        new.replace(path)
        if engine.name == "embedded":
            engine.stage.app._files._open.clear()  # it compares a file with the disk every two seconds
        elif engine.name == IN_BUCKET:
            engine.publish("growing.m3u8", text)
            wait_until(lambda text=text: engine.get("growing.m3u8")[2] == text, seconds=4)
        _status, headers, body = engine.get("growing.m3u8")
        assert body == text
        tags.add(headers["etag"])
    assert len(tags) == 3


# --- nginx alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_NGINX)
def test_http_2_over_tls(name, tmp_path):
    """The same answers over TLS with HTTP/2, and the segment is recorded."""
    chain, key = nginx_kit.certificate(tmp_path)
    with started(name, tmp_path, certificate=chain, certificate_key=key) as engine:
        recorded, session = Recorded(engine.stage), uuid4()
        path = engine.path("1080/1.m4s", session=session)
        headers = ssl.create_default_context(cafile=str(chain))
        with httpx.Client(http2=True, verify=headers, headers={"User-Agent": AGENT}) as client:
            here = f"https://{HERE}:{engine.port}"
            poster = here + engine.path("poster.jpg")
            wait_until(lambda: client.get(poster).status_code == 200)
            whole = client.get(here + path)
            part = client.get(here + path, headers={"Range": "bytes=0-9"})
            broken = client.get(here + engine.path("1080/1.m4s", grant="x"))
            unmodified = client.get(here + path, headers={"If-None-Match": whole.headers["etag"]})
        assert whole.http_version == "HTTP/2"
        assert (whole.status_code, whole.content) == (200, SEGMENT)
        assert (part.status_code, part.content) == (206, SEGMENT[:10])
        assert (unmodified.status_code, unmodified.content) == (304, b"")
        assert broken.status_code == 401
        assert broken.json()["errors"][0]["code"] == "grant_invalid"
        wait_until(lambda: recorded.served.get(session) == 0b10, seconds=5)


@pytest.mark.parametrize("name", WITH_NGINX)
def test_a_reload_forgets_no_ended_session_and_a_start_knows_them_before_it_serves(name, tmp_path):
    with started(name, tmp_path) as engine:
        session = uuid4()
        path = engine.path("1080/1.m4s", session=session)
        engine.stage.sessions.end(session)
        wait_until(lambda: engine.fetch(path)[0] == 410, seconds=3)
        engine.process.send_signal(signal.SIGHUP)
        statuses = set()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            statuses.add(engine.fetch(path)[0])
        assert statuses == {410}

        engine.process.terminate()
        engine.process.wait(10)
        with nginx_kit.serving(engine.site, wait=False):
            wait_until(lambda: status_or_none(engine, path) == 410, seconds=5)


def status_or_none(engine, path):
    """Return a status; None while nothing listens. Never 200: before the first news all is refused."""
    try:
        status = engine.fetch(path)[0]
    except ConnectionRefusedError:
        return None
    assert status in {410, 503}
    return status


@pytest.mark.programs
def test_the_folder_of_videos_that_is_away_is_a_503(tmp_path):
    with started("nginx", tmp_path) as engine:
        path = engine.path("1080/2.m4s")
        engine.stage.root.rename(tmp_path / "elsewhere")
        assert_refused(engine.fetch(path), 503, "unavailable")
        (tmp_path / "elsewhere").rename(engine.stage.root)
        assert engine.fetch(path)[0] == 200


@pytest.mark.parametrize("name", WITH_NGINX)
@pytest.mark.parametrize(
    ("mode", "changed", "status"),
    [
        ("none", {"agent": "x", "address": "198.51.100.1"}, 200),
        ("network", {"agent": "x"}, 403),
        ("network", {"address": "198.51.100.1"}, 403),
        ("network", {}, 200),
    ],
)
def test_the_other_modes_of_binding(name, tmp_path, mode, changed, status):
    with started(name, tmp_path, binding=mode) as engine:
        assert engine.get("1080/1.m4s", **changed)[0] == status


@pytest.mark.parametrize("name", WITH_NGINX)
def test_the_link_cannot_be_reached_through_nginx(name, tmp_path):
    with started(name, tmp_path) as engine:
        given = {"Authorization": f"Bearer {link.secret()}", "Content-Length": "2"}
        for path in (
            link.PATH,
            "//internal/delivery",
            "/x/../internal/delivery",
            "/%69nternal/delivery",
        ):
            assert engine.fetch(path, "POST", given)[0] == 404
