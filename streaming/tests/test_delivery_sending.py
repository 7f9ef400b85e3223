"""Sending over real connections: ranges, slow and vanishing clients, ends in the middle."""

import http.client
import threading
import time
from uuid import uuid4

import pytest

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
SMALL, MEDIUM, LARGE = random_bytes(1024), random_bytes(300_000), random_bytes(40 * MB)


@pytest.fixture(scope="module", params=["own protocol", "httptools", "h11"])
def protocol(request):
    """The delivery's own protocol, and uvicorn's two: the application works with each."""
    return request.param


@pytest.fixture(scope="module")
def stage(protocol, tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("videos"), mode="none")
    made.publish("small.m4s", SMALL)
    made.publish("medium.m4s", MEDIUM)
    made.publish("large.mp4", LARGE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(protocol, stage):
    loop = "asyncio" if protocol == "h11" else "uvloop"
    http_class = protocol_of(stage) if protocol == "own protocol" else protocol
    with serving(stage.app, loop=loop, http=http_class, lifespan="off") as port:
        yield port


@pytest.fixture
def session():
    return uuid4()


@pytest.fixture
def connect(port):
    opened = []

    def connect(**options):
        opened.append(Connection(port, **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_one_connection_serves_one_request_after_the_other(stage, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    sockets = set()
    for name, content in [("small.m4s", SMALL), ("medium.m4s", MEDIUM), ("large.mp4", LARGE)] * 2:
        connection.request("GET", stage.path(name))
        sockets.add(connection.sock)
        response = connection.getresponse()
        assert response.status == 200
        assert response.read() == content

        connection.request("HEAD", stage.path(name))
        response = connection.getresponse()
        assert response.getheader("content-length") == str(len(content))
        assert response.read() == b""

        connection.request("GET", stage.path(name), headers={"Range": "bytes=100-299"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (206, content[100:300])

        connection.request("GET", stage.path(name), headers={"Range": "bytes=99999999999-"})
        response = connection.getresponse()
        assert (response.status, b"range_not_satisfiable" in response.read()) == (416, True)

        connection.request("GET", stage.path("gone.m4s"))
        response = connection.getresponse()
        assert (response.status, b"not_found" in response.read()) == (404, True)

        connection.request("OPTIONS", stage.path(name))
        response = connection.getresponse()
        assert (response.status, response.read()) == (204, b"")

        connection.request("POST", stage.path(name), body=b"x" * 1000)
        response = connection.getresponse()
        assert (response.status, b"method_not_allowed" in response.read()) == (405, True)

        tag = _tag(port, stage, name)
        connection.request("GET", stage.path(name), headers={"If-None-Match": tag})
        response = connection.getresponse()
        assert (response.status, response.read()) == (304, b"")
    assert len(sockets) == 1
    connection.close()


def _tag(port, stage, name):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("HEAD", stage.path(name))
    tag = connection.getresponse().getheader("etag")
    connection.close()
    return tag


def test_requests_sent_ahead_are_answered_in_order(stage, connect):
    client = connect()
    for name in ("medium.m4s", "small.m4s", "large.mp4", "small.m4s"):
        client.ask(stage.path(name))

    for content in (MEDIUM, SMALL, LARGE, SMALL):
        status, headers = client.head()
        assert (status, int(headers["content-length"])) == (200, len(content))
        assert client.read(len(content)) == content


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, 40 * MB),
        ("bytes=20000000-", 20_000_000, 40 * MB),
        ("bytes=-3000001", 40 * MB - 3_000_001, 40 * MB),
        ("bytes=4097-9000000", 4097, 9_000_001),
    ],
)
def test_long_ranges(stage, connect, header, start, end):
    client = connect()
    client.ask(stage.path("large.mp4"), headers=f"Range: {header}\r\n")

    status, headers = client.head()
    assert (status, int(headers["content-length"])) == (206, end - start)
    assert client.read(end - start) == LARGE[start:end]


def test_clients_that_close_are_answered_and_closed(stage, connect):
    client = connect()
    client.ask(stage.path("medium.m4s"), headers="Connection: close\r\n")

    client.head()
    assert client.read(len(MEDIUM) + 1) == MEDIUM


def test_slow_clients_get_every_byte_and_delay_no_other_client(stage, connect):
    slow = [connect(receive_buffer=16_384) for _ in range(16)]
    for client in slow:
        client.ask(stage.path("large.mp4"), headers="Connection: close\r\n")
        client.head()

    quick = connect()
    for _ in range(50):
        quick.ask(stage.path("small.m4s"))
        assert quick.head()[0] == 200
        assert quick.read(len(SMALL)) == SMALL

    # All continue where they stopped; one is read to its end.
    for client in slow:
        assert client.read(200_000) == LARGE[:200_000]
    # Exactly the rest: asking for more would wait until the server closes the idle connection.
    assert slow[0].read(len(LARGE) - 200_000) == LARGE[200_000:]


def test_many_at_once_get_their_own_bytes(stage, port):
    wrong = []

    def fetch(start):
        client = Connection(port)
        end = start + 5_000_000
        client.ask(stage.path("large.mp4"), headers=f"Range: bytes={start}-{end - 1}\r\n")
        client.head()
        if client.read(end - start) != LARGE[start:end]:
            wrong.append(start)
        client.close()

    threads = [threading.Thread(target=fetch, args=(n * 1_000_003,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def transfers(stage):
    return len(stage.app._transfers)


def test_an_end_stops_a_transfer_that_waits_for_its_client(stage, connect, session):
    """Otherwise a client that does not read would keep its transfer after its session ended."""
    client, other = connect(receive_buffer=16_384), connect(receive_buffer=16_384)
    client.ask(stage.path("large.mp4", grant=stage.grant(session=session)))
    other.ask(stage.path("large.mp4"))
    client.head()
    other.head()
    wait_until(lambda: transfers(stage) == 2)

    ended = time.monotonic()
    stage.sessions.end(session)
    wait_until(lambda: transfers(stage) == 1)
    assert time.monotonic() - ended < 2

    body = client.read(len(LARGE))
    assert len(body) < 10 * MB  # The bytes that the kernel held; then the connection closed.
    assert body == LARGE[: len(body)]
    assert other.read(len(LARGE)) == LARGE
    wait_until(lambda: transfers(stage) == 0)


def test_an_end_stops_a_transfer_that_is_being_read(stage, connect, session):
    client = connect(receive_buffer=65_536)
    client.ask(stage.path("large.mp4", grant=stage.grant(session=session)))
    client.head()
    taken = len(client.read(100_000))
    stage.sessions.end(session)
    ended = time.monotonic()

    while data := client.read(50_000):  # some 5 MB a second: 40 MB would take 8 s
        taken += len(data)
        time.sleep(0.01)

    assert taken < len(LARGE)
    assert time.monotonic() - ended < 2

    again = connect()
    again.ask(stage.path("small.m4s", grant=stage.grant(session=session)))
    assert again.head()[0] == 410


def test_slow_clients_of_an_unmapped_file_get_every_byte_until_their_session_ends(
    stage, connect, session, monkeypatch
):
    """Where the kernel does not tell which pages are in memory, chunks are read one by one."""
    monkeypatch.setattr("streaming.delivery.files.map_file", lambda *_: None)
    content = random_bytes(20 * MB)
    stage.publish("unmapped.mp4", content)
    readers = [connect(receive_buffer=16_384) for _ in range(4)]
    ended = connect(receive_buffer=16_384)
    for client in readers:
        client.ask(stage.path("unmapped.mp4"), headers="Connection: close\r\n")
        client.head()
    ended.ask(stage.path("unmapped.mp4", grant=stage.grant(session=session)))
    ended.head()
    wait_until(lambda: transfers(stage) == 5)
    assert all(file.mapping is None for file in unmapped_files(stage))

    for client in readers:
        assert client.read(200_000) == content[:200_000]
    stage.sessions.end(session)
    wait_until(lambda: transfers(stage) == 4)
    body = ended.read(len(content))
    assert len(body) < len(content)
    assert body == content[: len(body)]
    for client in readers:
        assert client.read(len(content)) == content[200_000:]
    wait_until(lambda: transfers(stage) == 0)


def unmapped_files(stage):
    files = [file for name, file in stage.app._files._open.items() if "unmapped" in name]
    assert files
    return files


def test_a_client_that_goes_away_leaves_nothing_behind(stage, connect):
    for _ in range(5):
        client = connect(receive_buffer=16_384)
        client.ask(stage.path("large.mp4"))
        client.head()
        client.close()

    wait_until(lambda: transfers(stage) == 0)


def test_a_stale_snapshot_stops_transfers_too(stage, connect):
    client = connect(receive_buffer=16_384)
    client.ask(stage.path("large.mp4"))
    client.head()
    wait_until(lambda: transfers(stage) == 1)
    stage.sessions.away = True
    try:
        stage.snapshot._loaded_at -= 5
        assert len(client.read(len(LARGE))) < 10 * MB
        client = connect()
        client.ask(stage.path("small.m4s"))
        assert client.head()[0] == 503
    finally:
        stage.sessions.away = False
    wait_until(lambda: not stage.snapshot.is_stale())


def test_the_lifespan_loads_first_and_stores_activity_last(tmp_path):
    stage = Stage(tmp_path)
    stage.publish("small.m4s", SMALL)
    assert stage.sessions.loads == []

    with serving(stage.app, lifespan="on") as port:
        assert stage.sessions.loads
        grant = stage.grant(address="127.0.0.1", agent=AGENT)
        client = Connection(port)
        client.ask(stage.path("small.m4s", grant=grant))
        assert client.head()[0] == 200
        client.close()

    assert [ids for ids, _ in stage.sessions.stored] == [[stage.session]]
