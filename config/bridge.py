"""Django under an event loop: an ASGI application that runs Django's WSGI application in threads.

The event loop takes in the body and sends the answer, so that a thread is busy only while Django works,
however slow the client is. The threads are divided into lanes (`config.lanes`), each with a bounded
queue: a crowd that signs in or writes cannot take the threads of the readers, and a full queue is
answered with 503 at once.
"""

import io
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from urllib.parse import quote

from django.db import close_old_connections

from config.bodies import (
    BodyRefused,
    ClientGone,
    Receive,
    Scope,
    Waiting,
    drop_body,
    take_small,
)
from config.headers import WITHOUT_DJANGO
from config.http import SCOPE, request_id_for
from config.lanes import Environ, Lanes

Send = Callable[[dict[str, Any]], Awaitable[None]]
WsgiApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Given = TypeVar("Given")
Result = TypeVar("Result")
MEMORY_MAX = 256 * 1024  # bytes of an answer that wait in memory for a slow client
CHUNK = 64 * 1024


@dataclass(slots=True)
class Answer:
    """A finished answer of Django. A body over MEMORY_MAX is a temporary file."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | IO[bytes]


class Bridge:
    """The ASGI application."""

    def __init__(self, django: WsgiApplication, lanes: Lanes) -> None:
        self._django, self._lanes, self._waiting = django, lanes, Waiting()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            body = await take_small(scope, receive, self._waiting)
        except BodyRefused as refusal:
            await refuse(scope, send, refusal, unread=receive)
            return
        except ClientGone:
            return
        environ = environ_of(scope)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        try:
            answer = await self._lanes.of(scope).run(self._call, environ)
        except BodyRefused as refusal:
            await refuse(scope, send, refusal)
        else:
            await _send_answer(answer, send)

    async def answer_upload(
        self, environ: Environ, scope: Scope, receive: Receive, send: Send, *, is_read: bool
    ) -> None:
        """Let Django answer an upload; ``is_read`` says whether its whole body was read.

        Otherwise the connection is closed, after some more of the body: a client that is still
        sending could not read the answer of a connection that is reset.
        """
        try:
            answer = await self._lanes.of(scope).run(self._call, environ)
        except BodyRefused as refusal:
            await refuse(scope, send, refusal, unread=None if is_read else receive)
            return
        if not is_read:
            answer.headers.append((b"connection", b"close"))
        await _send_answer(answer, send, None if is_read else receive)

    async def look_up(self, work: Callable[[Environ], Result], environ: Environ) -> Result:
        """Run ``work``, which may use the database, in a thread for reading. Raises BodyRefused."""
        return await self._lanes.reads.run(with_connections(work), environ)

    def _call(self, environ: Environ) -> Answer:
        """Run Django in this thread, and collect the whole answer."""
        started: list[Any] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> None:
            started[:] = [int(status[:3]), headers]

        parts = self._django(environ, start_response)
        try:
            body = _collected(parts)
        finally:
            parts.close()  # type: ignore[attr-defined]  # Django's responses have it
        status, headers = started
        pairs = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        return Answer(status, pairs, body)


def _collected(parts: Iterable[bytes]) -> bytes | IO[bytes]:
    """Return the parts of a body together, as a temporary file if they are large."""
    rest = iter(parts)
    body = bytearray()
    for part in rest:
        body += part
        if len(body) > MEMORY_MAX:
            break
    else:
        return bytes(body)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent
    try:
        file.write(body)
        file.writelines(rest)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def with_connections(work: Callable[[Given], Result]) -> Callable[[Given], Result]:
    """Return ``work`` with the care for database connections that Django takes around a request."""

    def run(given: Given) -> Result:
        close_old_connections()
        try:
            return work(given)
        finally:
            close_old_connections()

    return run


async def _send_answer(answer: Answer, send: Send, unread: Receive | None = None) -> None:
    """Send an answer; before its end, drop some of a body that nobody reads (``unread``)."""
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    if isinstance(answer.body, bytes):
        await send(start)
        await _send_end(answer.body, send, unread)
        return
    with answer.body as body:
        await send(start)
        while part := body.read(CHUNK):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await _send_end(b"", send, unread)


async def _send_end(body: bytes, send: Send, unread: Receive | None) -> None:
    if unread is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await drop_body(unread)
        body = b""
    await send({"type": "http.response.body", "body": body})


def headers_without_django(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer, for one that is made without Django."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return [*WITHOUT_DJANGO, (b"x-request-id", request_id_for(given).encode())]


async def refuse(
    scope: Scope, send: Send, refusal: BodyRefused, unread: Receive | None = None
) -> None:
    """Answer with the common error body; close the connection if a body was not read (``unread``)."""
    kind = "server_error" if refusal.status >= 500 else "client_error"
    error = {"code": refusal.code, "detail": refusal.detail, "attr": None}
    body = json.dumps({"type": kind, "errors": [error]}).encode()
    pairs = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *headers_without_django(scope),
    ]
    if unread is not None:
        pairs.append((b"connection", b"close"))
    if refusal.status == 503:
        pairs.append((b"retry-after", b"2"))
    await _send_answer(Answer(refusal.status, pairs, body), send, unread)


def environ_of(scope: Scope) -> Environ:
    """Return the WSGI environment of a request without its body (PEP 3333).

    A header with an underscore in its name is left out: it could pass for another one with a hyphen.
    """
    host, port = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    query = scope["query_string"]
    if not query.isascii():  # PEP 3333 cannot carry these bytes; a browser would have encoded them
        query = quote(query, safe="%&=+/?:@!$'()*,;~-._[]").encode()
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query.decode("ascii"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.url_scheme": scope["scheme"],
        SCOPE: scope,
        **_OF_ALL,
    }
    for raw_name, raw_value in scope["headers"]:
        key = _key_of(raw_name)
        if key in environ:
            joint = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{joint}{raw_value.decode('latin-1')}"
        elif key:
            environ[key] = raw_value.decode("latin-1")
    return environ


_OF_ALL: Environ = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _key_of(name: bytes) -> str:
    """Return the key of a header in the environment, or an empty text for one that is left out."""
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
