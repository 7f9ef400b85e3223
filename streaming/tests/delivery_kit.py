"""The kit of the delivery's tests: published files, sessions that end, requests, a server."""

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import uvicorn

from streaming.delivery.asgi import Delivery, LazyDelivery
from streaming.delivery.grants import Grants, Part
from streaming.delivery.protocol import DeliveryProtocol
from streaming.delivery.snapshot import Snapshot

KEY = bytes(range(32))
AGENT, ADDRESS = "Mozilla/5.0 (X11; Linux)", "203.0.113.7"


@dataclass
class Sessions:
    """A stand-in for the table of sessions. ``away`` makes every query fail, as in an outage."""

    ended: dict[UUID, datetime] = field(default_factory=dict)
    away: bool = False
    loads: list[datetime] = field(default_factory=list)
    stored: list[tuple[list[UUID], datetime]] = field(default_factory=list)
    recovered: int = 0

    def end(self, session: UUID, at: datetime | None = None) -> None:
        self.ended[session] = at or datetime.now(UTC)

    def load(self, since, now):
        if self.away:
            raise ConnectionError("the database is away")
        self.loads.append(since)
        return [session for session, at in self.ended.items() if at > since]

    def flush(self, ids, now):
        if self.away:
            raise ConnectionError("the database is away")
        self.stored.append((ids, now))

    def recover(self):
        self.recovered += 1

    def snapshot(self, **options) -> Snapshot:
        options.setdefault("utcnow", lambda: datetime.now(UTC))
        return Snapshot(self.load, self.flush, self.recover, **options)


class Stage:
    """A delivery over the folder ``root``, with one video and one session."""

    def __init__(self, root: Path, *, mode="device", origins=("*",)):
        self.root, self.sessions = root, Sessions()
        self.video, self.session = uuid4(), uuid4()
        self.grants = Grants(KEY, mode)
        self.snapshot = self.sessions.snapshot()
        self.app = Delivery(
            checker=self.grants, snapshot=self.snapshot, root=root, origins=list(origins)
        )

    def close(self):
        self.snapshot.stop()

    def publish(self, name: str, content: bytes, *, version: str = "v1") -> Path:
        path = self.root / str(self.video) / version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def grant(self, *, session=None, video=None, agent=AGENT, address=ADDRESS, seconds=60) -> str:
        return self.grants.mint(
            (session or self.session).bytes,
            (video or self.video).bytes,
            int(time.time()) + seconds,
            agent,
            address,
        )

    def preview(self, last=2, end=8, *, version="v1", session=None, video=None, seconds=60, agent=AGENT,
                address=ADDRESS) -> str:  # fmt: skip
        """Return the grant of a preview that ends with the segment ``last``, after ``end`` seconds."""
        return self.grants.mint_preview(
            (session or self.session).bytes,
            (video or self.video).bytes,
            version,
            Part(last, end),
            int(time.time()) + seconds,
            agent,
            address,
        )

    def path(self, name: str, *, grant: str | None = None, version: str = "v1") -> str:
        return f"/media/{grant or self.grant()}/{self.video}/{version}/{name}"

    def get(self, name: str, method: str = "GET", **options) -> "Answer":
        grant = options.pop("grant", None)
        return request(self.app, method, self.path(name, grant=grant), **options)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool  # The application said that the body is complete.

    @property
    def code(self) -> str:
        return json.loads(self.body)["errors"][0]["code"]


def request(
    app,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    *,
    address: str = ADDRESS,
    raw_path: str | None = None,
    root_path: str = "",
) -> Answer:
    """Send one request to the application, as a server would, and return its answer."""
    given = {"user-agent": AGENT} | {k.lower(): v for k, v in (headers or {}).items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": (raw_path or path).encode(),
        "root_path": root_path,
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in given.items() if v is not None],
        "client": (address, 50000),
    }
    sent = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert all(name == name.lower() for name, _ in start["headers"])
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names)), "a header is sent twice"
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(bytes(message.get("body", b"")) for message in rest),
        bool(rest) and not rest[-1].get("more_body", False),
    )


class CountingProtocol(DeliveryProtocol):
    """The delivery's own HTTP protocol; ``answered`` counts the requests that took the fast path."""

    answered = 0

    def _answer(self, data):
        done = super()._answer(data)
        type(self).answered += done
        return done


def protocol_of(stage: Stage) -> type[CountingProtocol]:
    """Return a counting protocol over this stage's delivery, with a count of its own."""

    class OverStage(CountingProtocol):
        application = LazyDelivery()

    OverStage.application.delivery = stage.app
    return OverStage


@contextlib.contextmanager
def serving(app, *, send_buffer: int = 0, **options):
    """Run a real uvicorn on a loopback port; yield the port.

    ``send_buffer``: what the kernel keeps for a client that does not read, instead of megabytes.
    """
    defaults = {
        "loop": "uvloop",
        "http": "httptools",
        "log_config": None,  # Keep the logging of the test run.
        "access_log": False,
        "timeout_graceful_shutdown": 3,
    }
    config = uvicorn.Config(app, host="127.0.0.1", port=0, **defaults | options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    if send_buffer:
        listener = os.dup(server.servers[0].sockets[0].fileno())
        with socket.socket(fileno=listener) as same:  # connections inherit its options
            same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


def wait_until(condition, *, seconds: float = 10.0):
    """Poll until ``condition()`` is true and return its value; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return value


class Connection:
    """A client that reads only when the test calls ``head`` or ``read``."""

    def __init__(self, port: int, *, receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.buffered = b""

    def ask(self, path: str, method: str = "GET", headers: str = "") -> None:
        text = f"{method} {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: {AGENT}\r\n{headers}\r\n"
        self.socket.sendall(text.encode())

    def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffered:
            data = self.socket.recv(65536)
            assert data, "closed before the headers"
            self.buffered += data
        head, _, self.buffered = self.buffered.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer if the server closes the connection before."""
        taken = bytearray(self.buffered[:size])
        self.buffered = self.buffered[size:]
        while len(taken) < size:
            try:
                data = self.socket.recv(min(1 << 20, size - len(taken)))
            except ConnectionResetError:
                break
            if not data:
                break
            taken += data
        return bytes(taken)

    def close(self):
        self.socket.close()


def random_bytes(size: int) -> bytes:
    return os.urandom(size)
