"""uvicorn's HTTP/1.1 protocol with bounds for the head of a request: bytes, lines and seconds."""

import asyncio
import json
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from config.headers import WITHOUT_DJANGO
from config.ids import uuid7

HEAD_BYTES = 64 * 1024  # of the request line and all headers together
HEAD_LINES = 100
HEAD_SECONDS = 10.0  # from the connection, or from the first byte of a later request

REFUSALS = {
    400: ("bad_request", "This is not a valid HTTP request."),
    408: ("too_slow", "The request did not arrive in time. Send it again."),
    431: (
        "headers_too_large",
        f"A request may have {HEAD_LINES} headers and {HEAD_BYTES} bytes before its body.",
    ),
}


class HeadTooLarge(Exception):
    """The head of a request is over a bound; raised through the parser, which stops then."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client."""

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

    def connection_made(  # type: ignore[override]  # uvicorn narrows asyncio's BaseTransport
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_is_complete()
        super().connection_lost(exc)

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
        self._head_timer = None
        if self._head_received:
            self._refuse(408)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        # Before the parser copies the bytes to those that it has already.
        if self._head_timer is not None:
            if self._head_received > HEAD_BYTES:
                self._refuse(431)
                return
            self._head_received += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
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
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        self.head_is_complete()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser refused; uvicorn calls this."""
        self._refuse(self._refusal)

    def _refuse(self, status: int) -> None:
        """Send an error with the common body, and close the connection."""
        if self.transport.is_closing():
            return
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
            b"x-request-id: %b\r\nconnection: close\r\n\r\n" % uuid7().hex.encode(),
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()
