"""The fast path: sends the same as the ASGI application, and takes plain requests only."""

import contextlib
import logging
import socket
import threading
import time
from uuid import uuid4

import pytest

from streaming.delivery import files
from streaming.delivery.protocol import DeliveryProtocol
from streaming.tests.delivery_kit import (
    AGENT,
    Connection,
    Stage,
    protocol_of,
    random_bytes,
    serving,
    wait_until,
)

MB = 1024 * 1024
RECEIVED_AT_MOST = 200_000  # bytes that the kernel of a client with a small buffer has
CONTENTS = {
    "master.m3u8": b"#EXTM3U\n",
    "empty.vtt": b"",
    "small.m4s": random_bytes(1024),
    "edge.m4s": random_bytes(files.KEPT_IN_MEMORY),
    "over.m4s": random_bytes(files.KEPT_IN_MEMORY + 1),
    "medium.m4s": random_bytes(300_000),
    "long.m4s": random_bytes(files.FAST_PATH_BYTES),
    # More than the kernel and the server take for a client that does not read (net.ipv4.tcp_wmem).
    "longer.mp4": random_bytes(3 * files.FAST_PATH_BYTES + 1),
}


@pytest.fixture(scope="module", autouse=True)
def _fresh():
    """Keep files fresh for a minute: a slow machine may pause between two requests for a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_FRESH_SECONDS", 60)
        yield


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("videos"), mode="device", origins=["https://app.example"])
    for name, content in CONTENTS.items():
        made.publish(name, content)
    yield made
    made.close()


@pytest.fixture(scope="module")
def protocol(stage):
    return protocol_of(stage)


@pytest.fixture(scope="module")
def fast_port(stage, protocol):
    with serving(stage.app, http=protocol, lifespan="off", timeout_keep_alive=1) as port:
        yield port


@pytest.fixture(scope="module")
def other_stage(stage):
    """The same files and key, for uvicorn's own protocol."""
    made = Stage(stage.root, mode="device", origins=["https://app.example"])
    made.video = stage.video
    yield made
    made.close()


@pytest.fixture(scope="module")
def asgi_port(other_stage):
    with serving(other_stage.app, lifespan="off") as port:
        yield port


@pytest.fixture
def client(fast_port):
    made = Connection(fast_port)
    yield made
    made.close()


@pytest.fixture
def fast_answers(protocol, fast_port):
    """A function that returns how many requests took the fast path since its last call."""
    protocol.answered = 0

    def count():
        # A response can arrive before it is counted, but not after the response to a later request.
        later = Connection(fast_port)
        later.ask("/media/", "OPTIONS")
        later.head()
        later.close()
        answered, protocol.answered = protocol.answered, 0
        return answered

    return count


def fetch(client, path, headers=""):
    client.ask(path, headers=headers)
    status, answered = client.head()
    return status, answered, client.read(int(answered.get("content-length", 0)))


def warm(stage, client, name):
    """Empty the cache and fetch the file once: the next request may take the fast path."""
    stage.app._files._open.clear()
    return fetch(client, stage.path(name))


@pytest.mark.parametrize("name", CONTENTS)
def test_the_fast_path_and_the_application_send_the_same(stage, client, fast_answers, name):
    cold = warm(stage, client, name)
    assert fast_answers() == 0

    again = fetch(client, stage.path(name))
    assert fast_answers() == (name != "longer.mp4")

    for status, headers, body in (cold, again):
        assert status == 200
        assert body == CONTENTS[name]
        assert len(headers.pop("x-request-id")) == 32
        headers.pop("date")
    assert again[1] == cold[1]


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Origin: https://app.example\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "X-Request-ID: abcdefgh-1\r\n",
        "X-Request-ID:   abcdefgh-2  \r\n",
        "Connection: keep-alive\r\n",
        "connection:Keep-Alive\r\n",
        "Accept: */*\r\nAccept-Encoding: gzip\r\nSec-Fetch-Mode: cors\r\nReferer: https://a/b\r\n",
    ],
)
def test_the_same_headers_to_the_same_client(stage, client, asgi_port, fast_answers, headers):
    reference = Connection(asgi_port)
    path = stage.path("small.m4s")
    warm(stage, client, "small.m4s")
    fast_answers()

    for _ in range(2):
        ours, theirs = fetch(client, path, headers), fetch(reference, path, headers)
        for _status, answered, _body in (ours, theirs):
            answered.pop("date")
            answered.pop("server", None)
            if "X-Request-ID" not in headers:
                answered.pop("x-request-id")
        assert (ours[0], ours[2]) == (theirs[0], theirs[2])
        assert {k: v for k, v in ours[1].items() if k != "server"} == theirs[1]
    assert fast_answers() == 2
    reference.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Range: bytes=0-9\r\n", 206),
        ("range: bytes=0-9\r\n", 206),
        ("If-None-Match: *\r\n", 304),
        ('If-Match: "other"\r\n', 412),
        ("Connection: close\r\n", 200),
        ("Connection: keep-alive, te\r\n", 200),
        ("X-Forwarded-For: 198.51.100.1\r\n", 200),
        ("Forwarded: for=198.51.100.1\r\n", 200),
        ("Expect: 100-continue\r\n", 200),
        ("X-Obs: caf\xe9\r\n", 200),
        ("Content-Length: 0\r\n", 200),
    ],
)
def test_a_header_with_a_meaning_takes_the_request_to_the_application(
    stage, client, fast_answers, headers, status
):
    warm(stage, client, "small.m4s")
    fast_answers()

    assert fetch(client, stage.path("small.m4s"), headers)[0] == status
    assert fast_answers() == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda s: s.path("small.m4s", grant=s.grant(seconds=-1)), 401),
        (lambda s: s.path("small.m4s", grant="A" * 64), 401),
        (lambda s: s.path("small.m4s", grant=s.grant(video=uuid4())), 403),
        (lambda s: s.path("small.m4s", grant=s.grant(agent="x", address="198.51.100.1")), 403),
        (lambda s: s.path("../v1/small.m4s"), 404),
        (lambda s: s.path("%73mall.m4s"), 404),
        (lambda s: s.path("none.m4s"), 404),
        (lambda s: s.path("small.m4s") + "?x=1", 200),
    ],
)
def test_a_refused_or_odd_request_goes_to_the_application(
    stage, client, fast_answers, change, status
):
    warm(stage, client, "small.m4s")
    fast_answers()

    assert fetch(client, change(stage))[0] == status
    assert fast_answers() == 0


def test_another_method_goes_to_the_application(stage, client, fast_answers):
    warm(stage, client, "small.m4s")
    fast_answers()

    client.ask(stage.path("small.m4s"), "HEAD")
    assert client.head()[0] == 200
    client.ask(stage.path("small.m4s"), "OPTIONS")
    assert client.head()[0] == 204
    assert fast_answers() == 0
    assert fetch(client, stage.path("small.m4s"))[2] == CONTENTS["small.m4s"]
    assert fast_answers() == 1


def plain(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: t\r\nUser-Agent: {AGENT}\r\n{more}\r\n".encode()


def test_a_request_in_pieces_is_put_together(stage, client, fast_answers):
    warm(stage, client, "small.m4s")
    fast_answers()
    text = plain(stage.path("small.m4s"))

    for cut in (1, 5, 40, 120, len(text) - 2, len(text) - 1):
        client.socket.sendall(text[:cut])
        time.sleep(0.02)
        client.socket.sendall(text[cut:])
        assert client.head()[0] == 200
        assert client.read(1024) == CONTENTS["small.m4s"]
    assert fast_answers() == 0


def test_a_request_inside_a_body_is_no_request(stage, client, fast_answers):
    """A body that looks like a request, in its own packet (request smuggling)."""
    warm(stage, client, "small.m4s")
    fast_answers()
    inner = plain(stage.path("small.m4s"))
    head = f"POST {stage.path('small.m4s')} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(inner)}\r\n\r\n"

    client.socket.sendall(head.encode())
    status, answered = client.head()  # refused before the body has come
    assert status == 405
    client.read(int(answered["content-length"]))
    client.socket.sendall(inner)
    time.sleep(0.1)
    assert fast_answers() == 0

    # What follows the body is answered, and is the only answer.
    assert fetch(client, stage.path("medium.m4s"))[2] == CONTENTS["medium.m4s"]


def test_a_body_in_chunks_hides_no_request_either(stage, client, fast_answers):
    warm(stage, client, "small.m4s")
    fast_answers()
    inner = plain(stage.path("small.m4s"))
    head = (
        f"POST {stage.path('small.m4s')} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    client.socket.sendall(head.encode() + b"%x\r\n" % len(inner))
    assert client.head()[0] == 405
    client.socket.sendall(inner)
    time.sleep(0.1)

    assert fast_answers() == 0


def test_requests_in_one_packet_are_answered_in_order(stage, client, fast_answers):
    names = ["small.m4s", "medium.m4s", "master.m3u8", "long.m4s", "small.m4s"]
    for name in names:
        warm(stage, client, name)
    fast_answers()

    client.socket.sendall(b"".join(plain(stage.path(name)) for name in names))
    for name in names:
        status, answered = client.head()
        assert status == 200
        assert client.read(int(answered["content-length"])) == CONTENTS[name]
    assert fast_answers() == 0


@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_requests_sent_ahead_of_reading_stay_in_order(stage, client, pause):
    """Packets of their own while earlier answers still wait for the client."""
    names = ["long.m4s", "small.m4s", "long.m4s", "medium.m4s", "longer.mp4", "small.m4s"] * 2
    for name in set(names):
        warm(stage, client, name)

    for name in names:
        client.socket.sendall(plain(stage.path(name)))
        time.sleep(pause)
    for name in names:
        status, answered = client.head()
        assert status == 200
        assert client.read(int(answered["content-length"])) == CONTENTS[name]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b"\r\n", b"\n"),
        lambda text: text.replace(b"Host: t", b"Host : t"),
        lambda text: text.replace(b"Host: t", b" Host: t"),
        lambda text: text.replace(b"Host: t", b"Host: t\x00"),
        lambda text: text.replace(b"HTTP/1.1", b"HTTP/1.7x"),
        lambda text: text.replace(b"Host: t", b"Host t"),
    ],
)
def test_malformed_requests_go_to_the_parser(stage, client, fast_answers, spoil):
    warm(stage, client, "small.m4s")
    fast_answers()

    client.socket.sendall(spoil(plain(stage.path("small.m4s"))))
    time.sleep(0.1)
    assert fast_answers() == 0


def test_idle_connections_are_closed_and_used_ones_are_not(stage, fast_port):
    client, idle = Connection(fast_port), Connection(fast_port)
    warm(stage, client, "small.m4s")
    warm(stage, idle, "small.m4s")
    for _ in range(6):
        time.sleep(0.4)
        assert fetch(client, stage.path("small.m4s"))[0] == 200

    assert idle.read(1) == b""  # closed long ago: one second without a request
    began = time.monotonic()
    assert client.read(1) == b""
    assert 0.5 < time.monotonic() - began < 2.5
    client.close()
    idle.close()


def test_the_end_of_a_session_drops_bytes_that_its_client_has_not_read(
    stage, fast_port, fast_answers
):
    session = uuid4()
    client = Connection(fast_port, receive_buffer=16_384)
    grant = stage.grant(session=session)
    helper = Connection(fast_port)
    warm(stage, helper, "long.m4s")
    fast_answers()
    client.ask(stage.path("long.m4s", grant=grant))
    wait_until(lambda: session.bytes in stage.app.draining.values())
    assert fast_answers() == 1

    stage.sessions.end(session)
    wait_until(lambda: session.bytes not in stage.app.draining.values(), seconds=2)

    client.head()
    taken = client.read(files.FAST_PATH_BYTES)
    assert len(taken) < RECEIVED_AT_MOST  # The server's kernel held more, and dropped it.
    assert taken == CONTENTS["long.m4s"][: len(taken)]
    client.close()
    helper.close()


def test_the_end_of_a_session_drops_what_the_kernel_holds_of_a_long_transfer(stage, fast_port):
    session = uuid4()
    client = Connection(fast_port, receive_buffer=16_384)
    client.ask(stage.path("longer.mp4", grant=stage.grant(session=session)))
    wait_until(lambda: stage.app._transfers)

    stage.sessions.end(session)
    wait_until(lambda: not stage.app._transfers, seconds=2)

    client.head()
    assert len(client.read(len(CONTENTS["longer.mp4"]))) < RECEIVED_AT_MOST
    client.close()


def test_a_transfer_that_notices_the_end_itself_drops_what_the_kernel_holds(
    stage, fast_port, monkeypatch
):
    """It may do so before the news of the end have come to the event loop."""

    class Unseen(dict):
        def items(self):
            return {}.items()

    cut, real = [], DeliveryProtocol.cut

    def noted(self):
        cut.append(self)
        real(self)

    monkeypatch.setattr(DeliveryProtocol, "cut", noted)
    monkeypatch.setattr(stage.app, "_transfers", Unseen())
    session = uuid4()
    client = Connection(fast_port, receive_buffer=16_384)
    client.ask(stage.path("longer.mp4", grant=stage.grant(session=session)))
    wait_until(lambda: stage.app._transfers)

    stage.sessions.end(session)
    wait_until(lambda: stage.app._snapshot.is_ended(session.bytes))
    client.head()
    taken = client.read(len(CONTENTS["longer.mp4"]))

    wait_until(lambda: not stage.app._transfers)
    assert len(cut) == 1
    assert len(taken) < len(CONTENTS["longer.mp4"])
    client.close()


def test_a_client_that_reads_at_last_is_forgotten(stage, fast_port):
    client = Connection(fast_port, receive_buffer=16_384)
    warm(stage, client, "long.m4s")
    client.ask(stage.path("long.m4s"))
    wait_until(lambda: stage.app.draining)

    client.head()
    assert client.read(files.FAST_PATH_BYTES) == CONTENTS["long.m4s"]
    wait_until(lambda: not stage.app.draining)

    client.ask(stage.path("long.m4s"))
    wait_until(lambda: stage.app.draining)
    client.close()
    wait_until(lambda: not stage.app.draining)


def test_an_ended_session_is_refused_at_once(stage, client, fast_answers):
    session = uuid4()
    grant = stage.grant(session=session)
    warm(stage, client, "small.m4s")
    assert fetch(client, stage.path("small.m4s", grant=grant))[0] == 200

    stage.sessions.end(session)
    wait_until(lambda: stage.snapshot.is_ended(session.bytes))

    fast_answers()
    assert fetch(client, stage.path("small.m4s", grant=grant))[0] == 410
    assert fast_answers() == 0


def test_the_fast_path_marks_the_session_active(stage, client, fast_answers):
    session = uuid4()
    warm(stage, client, "small.m4s")
    fast_answers()

    fetch(client, stage.path("small.m4s", grant=stage.grant(session=session)))
    assert fast_answers() == 1
    assert session.bytes in stage.snapshot._touched


def test_a_file_cut_short_closes_the_connection(stage, fast_port, fast_answers):
    path = stage.publish("cut.m4s", random_bytes(200_000))
    client = Connection(fast_port)
    warm(stage, client, "cut.m4s")
    with path.open("r+b") as file:
        file.truncate(0)
    fast_answers()

    client.ask(stage.path("cut.m4s"))
    client.head()
    assert client.read(200_000) == b""


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_with_an_access_log_every_request_is_logged(stage, monkeypatch, level):
    """The fast path writes no access log, so it is off when there is one."""
    access_log, handler = logging.getLogger("uvicorn.access"), logging.NullHandler()
    monkeypatch.setattr(access_log, "handlers", [handler])
    monkeypatch.setattr(access_log, "propagate", False)
    monkeypatch.setattr(access_log, "disabled", False)
    access_log.setLevel(level)
    protocol = protocol_of(stage)
    try:
        with serving(stage.app, http=protocol, lifespan="off", access_log=True) as port:
            client = Connection(port)
            for _ in range(3):
                assert fetch(client, stage.path("small.m4s"))[0] == 200
            client.close()
    finally:
        access_log.setLevel(logging.NOTSET)

    assert (protocol.answered > 0) is (level == logging.WARNING)


def test_the_sockets_survive_the_protocol(stage, fast_port):
    """The protocol borrows the connection's descriptor; closing it twice would close another socket."""
    for _ in range(50):
        client = Connection(fast_port)
        warm(stage, client, "medium.m4s")
        fetch(client, stage.path("medium.m4s"))
        client.socket.shutdown(socket.SHUT_RDWR)
        client.close()
    client = Connection(fast_port)
    assert fetch(client, stage.path("medium.m4s"))[2] == CONTENTS["medium.m4s"]
    client.close()


def test_an_answer_waits_for_the_one_before_it(stage, client, monkeypatch, fast_answers):
    """The first request still opens its file in a thread when the second could be answered."""
    stage.publish("late.m4s", b"late")
    warm(stage, client, "small.m4s")
    fast_answers()
    slowly = files.open_published

    def open_slowly(*args):
        time.sleep(0.3)
        return slowly(*args)

    monkeypatch.setattr(files, "open_published", open_slowly)
    client.socket.sendall(plain(stage.path("late.m4s")))
    time.sleep(0.1)
    client.socket.sendall(plain(stage.path("small.m4s")))

    assert client.head()[0] == 200
    assert client.read(4) == b"late"
    assert client.head()[0] == 200
    assert client.read(1024) == CONTENTS["small.m4s"]
    assert fast_answers() == 0


def test_a_client_that_never_reads_fills_no_memory(stage, fast_port, fast_answers):
    client = Connection(fast_port, receive_buffer=16_384)
    warm(stage, client, "edge.m4s")
    fast_answers()
    client.socket.setblocking(False)
    text = plain(stage.path("edge.m4s"))

    for _ in range(800):  # 13 MB of answers, three times what the kernel holds
        with contextlib.suppress(BlockingIOError):
            client.socket.send(text)
        time.sleep(0.001)

    assert fast_answers() < 500
    client.close()


def test_answers_do_not_overtake_while_a_client_reads_slowly(stage, fast_port):
    client = Connection(fast_port, receive_buffer=16_384)
    names = [("over.m4s", "small.m4s", "medium.m4s")[n % 3] for n in range(300)]
    for name in set(names):
        warm(stage, client, name)

    def ask():
        for name in names:
            client.socket.sendall(plain(stage.path(name)))
            time.sleep(0.0005)

    asking = threading.Thread(target=ask)
    asking.start()
    for name in names:
        status, answered = client.head()
        assert status == 200
        assert client.read(int(answered["content-length"])) == CONTENTS[name]
    asking.join()
    client.close()


def test_connections_that_come_and_go_do_not_disturb_each_other(stage, fast_port):
    wrong: list[object] = []

    def visit():
        for number in range(25):
            client = Connection(fast_port)
            try:
                for _ in range(2):
                    if fetch(client, stage.path("medium.m4s"))[2] != CONTENTS["medium.m4s"]:
                        wrong.append("bytes")
                if number % 2:  # away in the middle of an answer
                    client.ask(stage.path("long.m4s"))
            except (OSError, AssertionError) as error:
                wrong.append(error)
            client.close()

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_after_an_upgrade_nothing_takes_the_fast_path(stage, client, fast_answers):
    warm(stage, client, "small.m4s")
    fast_answers()
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

    assert fetch(client, stage.path("small.m4s"), upgrade)[0] == 200
    client.socket.sendall(plain(stage.path("small.m4s")))
    time.sleep(0.1)

    assert fast_answers() == 0
