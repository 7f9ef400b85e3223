"""uvicorn's HTTP/1.1 protocol with bounds: for the head of a request, and for idle connections."""

import asyncio
import json
import re
import sys
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from config import addresses
from config.bodies import DROP_SECONDS
from config.connections import Connections
from config.headers import WITHOUT_DJANGO
from config.ids import uuid7

HEAD_BYTES = 64 * 1024  # of the request line and all headers together
HEAD_LINES = 100
HEAD_SECONDS = 10.0  # from the connection, or from the first byte of a later request
PIPELINE_MAX = 100  # requests of a connection that wait for the answer to an earlier one

REFUSALS = {
    400: ("bad_request", "This is not a valid HTTP request."),
    405: ("method_not_allowed", "This service does not know the method of the request."),
    408: ("too_slow", "The request did not arrive in time. Send it again."),
    431: (
        "headers_too_large",
        f"A request may have {HEAD_LINES} headers and {HEAD_BYTES} bytes beside its body.",
    ),
}
REQUEST_LINE = re.compile(rb"[!-~]{1,32} [!-~]")
METHODS = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"


class Refused(Exception):
    """The head of a request is refused; raised through the parser, which stops then."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    connections_of_process = Connections()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = self._head_lines = 0
        self._head_received = 0  # bytes that the parser got since the last complete head
        self._refusal = 400  # the status of the answer when the parser stops
        self._moves = False  # whether the parser has found a body or a request in these bytes
        self._start = b""  # of the bytes that came last
        self._is_refused = False
        self._framing = 0  # bytes of chunk sizes, extensions and trailers since the body moved
        self.network = addresses.UNKNOWN
        self.resumed = 0

    def connection_made(  # type: ignore[override]  # uvicorn narrows asyncio's BaseTransport
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.network = addresses.network(self.client[0] if self.client else "")
        self.connections_of_process.opened(self)
        self.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_is_complete()
        self.connections_of_process.closed(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self.resumed += 1
        super().resume_writing()

    def on_response_complete(self) -> None:
        self.connections_of_process.idle(self)
        super().on_response_complete()
        if self.pipeline:  # uvicorn reads on after every answer, however many requests wait
            self.flow.pause_reading()

    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def close_idle(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def await_head(self) -> None:
        """Close the connection after HEAD_SECONDS, unless the head of a request is complete."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def head_is_complete(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._head_received = 0

    def _head_is_late(self) -> None:
        if self._head_received:
            self._refuse(408)
        else:
            self.transport.close()
        self._head_timer = None

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        # Before the parser copies the bytes to those that it has already.
        if self._head_timer is not None:
            if self._head_received > HEAD_BYTES:
                self._refuse(431)
                return
            self._head_received += len(data)
        self._moves, self._start = False, data[:64]
        super().data_received(data)
        self._framing = 0 if self._moves else self._framing + len(data)
        if self._framing > HEAD_BYTES:
            self._refuse(431)

    def on_body(self, body: bytes) -> None:
        self._moves = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moves = True
        super().on_message_complete()

    def on_message_begin(self) -> None:
        self._moves = True
        if len(self.pipeline) >= PIPELINE_MAX:
            self.transport.abort()  # whoever sends so many and reads no answer
            raise Refused
        self.connections_of_process.busy(self)
        self._head_bytes = self._head_lines = 0
        self.await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_lines += 1
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES or self._head_lines > HEAD_LINES:
            self._refusal = 431
            raise Refused

    def on_headers_complete(self) -> None:
        hosts = [value for name, value in self.headers if name == b"host"]
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise Refused  # RFC 9112, section 3.2
        if hosts and not hosts[0].strip():
            raise Refused  # every address of HTTP has a host (RFC 9110, section 4.2.1)
        if b"#" in self.url:
            raise Refused  # a fragment is no part of a target (RFC 9112, section 3.2)
        if any(coding.strip().lower() != b"chunked" for coding in codings):
            raise Refused  # no other transfer coding is understood (RFC 9112, section 6.1)
        if not self.url.startswith((b"/", b"*")):
            self._take_host_of_target()
        self.head_is_complete()
        super().on_headers_complete()

    def _take_host_of_target(self) -> None:
        """Replace the Host of a request that names a whole address (RFC 9112, section 3.2.2)."""
        target = httptools.parse_url(self.url)
        if target.host:
            host = b"[%b]" % target.host if b":" in target.host else target.host
            port = b"" if target.port is None else b":%d" % target.port
            others = [pair for pair in self.headers if pair[0] != b"host"]
            self.headers[:] = [*others, (b"host", host + port)]

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: every request for WebSockets would write a line into the log."""

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser refused; uvicorn calls this where it has caught the error."""
        unknown = isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError)
        self._refuse(405 if unknown and REQUEST_LINE.match(self._start) else self._refusal)

    def _refuse(self, status: int) -> None:
        """Send an error with the common body, and close the connection.

        Reads on for DROP_SECONDS: a client that is still sending could not read the answer of a
        connection that is reset.
        """
        if self.transport.is_closing() or self._is_refused:
            return
        self._is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started or self._head_timer is not None:
                self.transport.close()  # this error would be taken for the answer that is awaited
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        code, detail = REFUSALS[status]
        errors = [{"code": code, "detail": detail, "attr": None}]
        body = json.dumps({"type": "client_error", "errors": errors}).encode()
        head = [
            STATUS_LINE[status],
            *(
                b"%b: %b\r\n" % each
                for each in (*self.server_state.default_headers, *WITHOUT_DJANGO)
            ),
            b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
            b"allow: %b\r\n" % METHODS.encode() if status == 405 else b"",
            b"x-request-id: %b\r\nconnection: close\r\n\r\n" % uuid7().hex.encode(),
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.write_eof()
        self.transport.resume_reading()
        self.loop.call_later(DROP_SECONDS, self.transport.close)
