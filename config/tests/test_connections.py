"""Connections of a web process: what a client may send beside a body, leave idle, and leave unread."""

import asyncio
import contextlib
import json
import resource

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config import connections
from config.connections import Connections
from config.server import HEAD_BYTES, BoundedProtocol

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
LARGE = bytes(8_000_000)  # more than the sockets of both sides hold


async def application(scope, receive, send):
    """Read the whole body, and answer /large with many bytes and everything else with few."""
    while (await receive()).get("more_body"):
        pass
    body = LARGE if scope["path"] == "/large" else b"ok"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def served(application=application):
    """Serve the application on a free port of 127.0.0.1, and return the port."""
    config = Config(application, log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: BoundedProtocol(config, state, {}), "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch):
    monkeypatch.setattr(BoundedProtocol, "connections_of_process", Connections())


async def answers(port: int, *parts: bytes) -> list[bytes]:
    """Send these bytes, and return the heads of all answers until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    try:
        return (await reader.read()).split(b"HTTP/1.1 ")[1:]
    finally:
        writer.close()


def status_of(*parts: bytes, application=application) -> tuple[int, dict]:
    """Return status and JSON of the first answer to these bytes."""

    async def run():
        async with served(application) as port:
            return (await answers(port, *parts))[0]

    answer = asyncio.run(run())
    body = answer.partition(b"\r\n\r\n")[2]
    return int(answer[:3]), json.loads(body) if body.startswith(b"{") else {}


@pytest.mark.parametrize(
    "parts",
    [
        [POST, b"0\r\nX-Long: ", *[b"a" * 50_000] * 20],
        [POST, b"0\r\n", *[b"X: a\r\n" * 10_000] * 20],
        [POST, b"1;", *[b"a" * 50_000] * 20],
        [POST, *[b"0" * 50_000] * 20],
    ],
    ids=["a long trailer", "many trailers", "a chunk extension", "a chunk size"],
)
def test_bytes_beside_a_body_are_bounded(parts):
    """Seen once: a trailer of 50 MB occupied a process for four seconds."""
    status, body = status_of(*parts)
    assert (status, body["errors"][0]["code"]) == (431, "headers_too_large")


def test_a_long_body_and_many_requests_are_not_beside_a_body():
    chunk = b"1\r\na\r\n" * 50_000
    close = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Pad: %b\r\n\r\n" % (b"a" * 1000)

    async def run():
        async with served() as port:
            return await answers(port, POST, chunk, b"0\r\n\r\n", ask * 80, close)

    got = asyncio.run(run())
    assert [answer[:3] for answer in got] == [b"200"] * 82
    assert len(chunk) > HEAD_BYTES < len(ask * 80)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n", 400),  # RFC 9112, section 3.2
        (b"GET / HTTP/1.1\r\nHost:\r\n", 400),  # RFC 9110, section 4.2.1
        (b"GET / HTTP/1.1\r\nHost: \t \r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET / HTTP/1.0\r\n", 200),
        (b"GET /#part HTTP/1.1\r\nHost: a\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 400),
        (b"FOO / HTTP/1.1\r\nHost: a\r\n", 405),
        (b"\x16\x03\x01 this is TLS\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n", 200),
    ],
)
def test_the_head_of_a_request(head, status, caplog):
    assert status_of(head, b"Connection: close\r\n\r\n")[0] == status
    assert not [record for record in caplog.records if "upgrade" in record.getMessage()]


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/", b"given"),
        (b"http://named/", b"named"),
        (b"http://named:81/?a=b", b"named:81"),
        (b"https://[::1]:5/", b"[::1]:5"),
    ],
)
def test_a_whole_address_as_target_names_the_host(target, host):
    """RFC 9112, section 3.2.2: the Host header is then ignored."""
    seen: list[bytes] = []

    async def noting(scope, receive, send):
        seen.extend(value for name, value in scope["headers"] if name == b"host")
        await application(scope, receive, send)

    head = b"GET %b HTTP/1.1\r\nHost: given\r\nConnection: close\r\n\r\n" % target

    assert status_of(head, application=noting)[0] == 200
    assert seen == [host]


class Idle:
    """A connection without a client."""

    resumed = 0

    def __init__(self, network: str, closed: list) -> None:
        self.network, self._closed = network, closed

    def close_idle(self) -> None:
        self._closed.append(self)

    def abort(self) -> None: ...

    def unsent_bytes(self) -> int:
        return 0


def test_the_largest_crowd_of_idle_connections_pushes_itself_out(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_MAX", 10)
    closed: list[Idle] = []

    async def run():
        house = Connections()
        friend, busy = Idle("198.51.100.1", closed), Idle("203.0.113.9", closed)
        crowd = [Idle("203.0.113.9", closed) for _ in range(20)]
        house.opened(friend)
        house.opened(busy)
        house.busy(busy)
        for one in crowd:
            house.opened(one)
        assert closed == crowd[:11]  # ten may be idle: the friend and the nine newest
        for one in crowd[11:]:
            house.closed(one)
        house.idle(busy)
        assert len(closed) == 11

    asyncio.run(run())


def test_few_open_files_allow_few_idle_connections(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (8, 8))
    closed: list[Idle] = []

    async def run():
        house = Connections()
        for number in range(5):
            house.opened(Idle(str(number), closed))

    asyncio.run(run())
    assert len(closed) == 1


def test_a_client_that_does_not_read_is_cut_and_a_slow_one_is_not(monkeypatch):
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
    ask = b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    async def run():
        async with served() as port:
            stalled = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            slow = await asyncio.open_connection("127.0.0.1", port)
            for _, writer in (stalled, slow):
                writer.write(ask)
            size = 0
            while part := await slow[0].read(400_000):
                size += len(part)
                await asyncio.sleep(0.05)
            return size, len(await stalled[0].read(-1))

    read_slowly, read_too_late = asyncio.run(run())
    assert read_slowly > len(LARGE) > read_too_late


def test_a_refusal_is_not_taken_for_the_answer_before_it():
    slow = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    async def run():
        async with served() as port:
            return await answers(port, slow + b"GET / HTTP/1.1\r\n\r\n")

    assert [answer[:3] for answer in asyncio.run(run())] in ([], [b"200"], [b"200", b"400"])


def test_a_client_that_sends_requests_and_reads_no_answer_is_cut():
    """Seen once: one such connection took hundreds of megabytes, and its process stood for seconds."""
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def run() -> int:
        async with served() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 50_000_000:
                    writer.write(ask * 1000)
                    await asyncio.wait_for(writer.drain(), 10)
                    sent += len(ask) * 1000
            return sent

    assert asyncio.run(run()) < 20_000_000


@pytest.mark.parametrize("first", [b"X\0\r\n\r\n", POST + b"zz\r\n"])
def test_a_refused_client_may_go_on_sending(first, caplog):
    """Seen once: each such connection wrote a traceback into the log."""

    async def run() -> bytes:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for part in (first, b"Y", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
                writer.write(part)
                await asyncio.sleep(0.05)
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
