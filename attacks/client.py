"""Clients of the attacks: raw bytes, single calls, and a crowd on one event loop."""

import asyncio
import http.client
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SECONDS = 60.0  # until a client gives up


@dataclass(slots=True)
class Answer:
    """An answer; status 0 where there was none."""

    status: int
    body: bytes
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error."""
        return self.json["errors"][0]["code"]


def call(
    port: int, method: str, path: str, *, token: str = "", body: Any = None, **headers: str
) -> Answer:
    """Make one call on a connection of its own. ``body`` is sent as JSON unless it is bytes."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent.setdefault("Content-Type", "application/json")
    if token:
        sent["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, data, sent)
        with connection.getresponse() as got:
            content = got.read()
            found = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, content, time.monotonic() - began, found)
    except OSError:
        return Answer(0, b"", time.monotonic() - began)
    finally:
        connection.close()


def head(first: str, *lines: str) -> bytes:
    """Return the head of a request to localhost."""
    return "\r\n".join([f"{first} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def send(port: int, *parts: bytes) -> Answer:
    """Send these bytes, and return the first answer to them."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        try:
            for part in parts:
                client.sendall(part)
        except OSError:
            pass  # the server has answered already, and reads no more
        got = http.client.HTTPResponse(client)
        try:
            got.begin()
            return Answer(got.status, got.read(), time.monotonic() - began)
        except (OSError, http.client.HTTPException):
            return Answer(0, b"", time.monotonic() - began)


class Caller:
    """One client of a crowd, with one connection that it keeps."""

    def __init__(self, port: int, token: str = "", agent: str = "attack") -> None:
        self._port, self._token, self._agent = port, token, agent
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Make one call, connecting again where the connection is gone. Never raises OSError."""
        began = time.monotonic()
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"User-Agent: {self._agent}", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if data:
            lines.append("Content-Type: application/json")
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        try:
            async with asyncio.timeout(SECONDS):
                status, found, content = await self._exchange(
                    head(f"{method} {path}", *lines) + data
                )
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return Answer(0, b"", time.monotonic() - began)
        return Answer(status, content, time.monotonic() - began, found)

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        reader, writer = self._streams
        writer.write(request)
        top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in top[1:] if line)
        found = {name.lower(): value.strip() for name, _, value in pairs}
        content = b""
        if "content-length" in found:
            content = await reader.readexactly(int(found["content-length"]))
        elif found.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                content += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        if found.get("connection") == "close":
            self.close()
        return int(top[0].split()[1]), found, content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Figures:
    """What a crowd has seen: the seconds of each answer by kind of call, and the statuses."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)  # answers that nobody announces

    def add(self, kind: str, answer: Answer) -> None:
        self.seconds.setdefault(kind, []).append(answer.seconds)
        self.statuses.setdefault(kind, Counter())[answer.status] += 1
        announced = answer.status == 503 and "retry-after" in answer.headers
        if (answer.status >= 500 or not answer.status) and not announced:
            self.odd.append(f"{kind} {answer.status} {answer.body[:200]!r}")

    def percentile(self, share: float, *kinds: str) -> float:
        """Return the seconds within which this share of the calls was answered; 0 without calls."""
        known = [value for kind in kinds or self.seconds for value in self.seconds.get(kind, [])]
        return sorted(known)[min(len(known) - 1, int(share * len(known)))] if known else 0.0

    def count(self, *statuses: int) -> int:
        """Return the number of answers with these statuses, or of all."""
        every = [pair for seen in self.statuses.values() for pair in seen.items()]
        return sum(number for status, number in every if not statuses or status in statuses)
