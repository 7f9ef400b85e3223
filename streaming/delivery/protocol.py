"""uvicorn's HTTP/1.1 protocol, with a fast path for the plain GET of a file that is in memory.

``uvicorn --http streaming.delivery.protocol:DeliveryProtocol``. Nearly all requests of players are for
a whole segment or playlist that lies in memory. For them, the steps of a general server (a scope, a
task, a message and a check for each header) cost several times the work itself, and the kernel can
send the file without copying it through this process.

The fast path decides nothing by itself: it asks the delivery, and sends the same response as the ASGI
application would. It takes only a plain GET with a valid grant for a file in memory. All other requests
go to uvicorn and the ASGI application unchanged: other methods, bodies, ranges, conditions, refusals,
requests of a proxy, malformed requests, and requests on a connection whose client has not read yet.
"""

import asyncio
import logging
import os
import re
import socket
import struct
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from config.server import BoundedProtocol
from streaming.delivery import answers, asgi
from streaming.delivery.files import PUBLISHED, OpenFile
from streaming.delivery.grants import CHARACTERS
from streaming.delivery.messages import Headers

_START = f"GET {asgi.PREFIX}".encode()
_LINE = re.compile(
    rf"GET {asgi.PREFIX}([A-Za-z0-9_-]{{{CHARACTERS}}})/({PUBLISHED.pattern}) HTTP/1\.1".encode()
)
# Header lines exactly as RFC 9110 and 9112 define them; uvicorn's parser gets all others.
_HEADERS = re.compile(rb"\r\n(?:[A-Za-z0-9-]+:[\t -~]*\r\n)+\r\n")
# All headers that change the answer of the delivery, of uvicorn or of its proxy middleware.
_READ = re.compile(
    rb"\n(user-agent|origin|x-request-id|connection|keep-alive|content-length|transfer-encoding"
    rb"|te|trailer|upgrade|expect|range|if-[a-z-]+|forwarded|x-forwarded-[a-z-]+|http2-settings)"
    rb":[ \t]*([^\r]*)",
    re.IGNORECASE,
)
# The fast path treats these like the delivery does; a request with any other goes to uvicorn.
_UNDERSTOOD = {b"user-agent", b"origin", b"x-request-id"}
# The kernel holds some megabytes for a slow client, and would go on sending them for a second.
_NO_LINGERING = struct.pack("ii", 1, 0)


class _RequestHeaders:
    """The header lines of a request, and the values that the fast path needs.

    A connection sends the same lines with each request, so they are read once.
    """

    __slots__ = ("agent", "block", "cors", "given_id")

    def __init__(self, block: bytes, values: dict[bytes, bytes], cors: answers.Cors):
        self.block = block
        self.agent = values.get(b"user-agent", b"").decode("latin-1")
        self.given_id = values.get(b"x-request-id")
        self.cors = answers.lines(cors.headers(values.get(b"origin")))


class DeliveryProtocol(BoundedProtocol):
    """One connection of a client."""

    application = asgi.application  # The fast path asks this application's delivery.

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # The fast path writes no access log, knows no root path and counts no running requests.
        logged = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        self._allowed = not (logged or self.root_path or self.limit_concurrency)
        self._address = ""
        self._between_messages = True
        self._request: _RequestHeaders | None = None
        self._answered_at = 0.0
        self._socket: socket.socket | None = None
        self._unread: tuple[bytes, OpenFile] | None = None  # sent, and not read by the client yet

    # --- events of uvicorn and the parser -------------------------------------------------------

    def connection_made(  # type: ignore[override]  # uvicorn narrows asyncio's BaseTransport
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        if self.client is None or self.scheme != "http":
            self._allowed = False
        else:
            self._address = self.client[0]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._socket is not None:
            self._socket.detach()  # The transport owns the descriptor and closes it.
            self._socket = None
        self._forget_draining()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._between_messages = False
        super().on_message_begin()
        self.scope["extensions"] = {asgi.CUT: self.cut}  # type: ignore[dict-item]  # ours is a function

    def on_message_complete(self) -> None:
        self._between_messages = True
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        # After the upgrade request the parser no longer tells where the next request begins.
        self._allowed = False

    def resume_writing(self) -> None:
        self._forget_draining()
        if self._unread is not None and self.application.delivery is not None:
            session, file = self._unread
            self._unread = None
            self.application.delivery.note_served(session, file, file.size)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it was idle for the keep-alive timeout, else look again later.

        So the fast path needs no new timer for each request.
        """
        remaining = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if remaining > 0:
            self.timeout_keep_alive_task = self.loop.call_later(
                remaining, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        # Only where a request begins: inside a body, the same bytes are no request.
        if self._is_refused:
            return
        if self._between_messages and data.startswith(_START) and self._answer(data):
            self.head_is_complete()
            self.connections_of_process.idle(self)
        else:
            super().data_received(data)

    # --- the fast path --------------------------------------------------------------------------

    def _answer(self, data: bytes) -> bool:
        """Answer ``data`` if it is exactly one complete, plain request; return whether it was.

        After False nothing has been sent or changed.
        """
        delivery = self.application.delivery
        idle = self.cycle is None or self.cycle.response_complete
        if not (self._allowed and idle and delivery is not None) or self.flow.write_paused:
            return False
        line, _, _ = data.partition(b"\r\n")
        match = _LINE.fullmatch(line)
        if match is None:
            return False
        block = data[len(line) :]
        request = self._request
        if request is None or request.block != block:
            request = self._request = _understand(block, delivery.cors)
            if request is None:
                return False
        opened = delivery.open_from_memory(
            match[1].decode(), match[2].decode(), match["video"].decode(), request.agent,
            self._address,
        )  # fmt: skip
        if opened is None:
            return False
        session, file = opened
        self._send(self._head(file, request, delivery.request_ids), file)
        if self.flow.write_paused:
            delivery.draining[self] = session
            delivery.note_unread(session, file)
            self._unread = session, file
        else:
            delivery.note_served(session, file, file.size)
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        return True

    def _head(
        self, file: OpenFile, request: _RequestHeaders, request_ids: answers.RequestIds
    ) -> bytes:
        """Return status line and headers: uvicorn's, then the same as from the ASGI application."""
        if file.whole_lines is None:
            file.whole_lines = answers.lines(answers.whole(file))
        return b"HTTP/1.1 200 OK\r\n%b%b%bx-request-id: %b\r\n\r\n" % (
            _server_lines(self.server_state.default_headers),
            file.whole_lines,
            request.cors,
            request_ids.take(request.given_id),
        )

    def _send(self, head: bytes, file: OpenFile) -> None:
        """Send a file that is ready (`OpenFile.is_ready`)."""
        if file.content is not None:
            self.transport.write(head + file.content)
        elif file.mapping is not None:
            self._send_mapped(head, file, file.mapping.view)

    def _send_mapped(self, head: bytes, file: OpenFile, view: memoryview) -> None:
        """Let the kernel send as much as the socket takes; the transport sends the remainder."""
        sent = 0
        if not self.transport.get_write_buffer_size():
            if self._socket is None:
                self._socket = socket.socket(
                    fileno=self.transport.get_extra_info("socket").fileno()
                )
            try:
                written = self._socket.send(head, socket.MSG_MORE)
                head = head[written:]
                while not head and sent < file.size:
                    count = os.sendfile(self._socket.fileno(), file.fd, sent, file.size - sent)
                    if not count:  # The file has become shorter: the client must see a short body.
                        self.transport.close()
                        return
                    sent += count
            except BlockingIOError:
                pass  # The socket is full.
            except OSError:
                self.transport.abort()
                return
        if head:
            self.transport.write(head)
        if sent < file.size:
            self.transport.write(view[sent:])

    def _forget_draining(self) -> None:
        """Note that the client has read all of its last response, or is gone."""
        if self.application.delivery is not None:
            self.application.delivery.draining.pop(self, None)

    def cut(self) -> None:
        """Close the connection and drop the bytes that it has not sent yet, those of the kernel too."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING
        )
        self.transport.abort()


_server_headers: tuple[Headers, bytes] = ([], b"")


def _server_lines(headers: Headers) -> bytes:
    """Return uvicorn's own headers (date, server) as lines.

    uvicorn makes a new list every second, so the lines are made again only for a new list.
    """
    global _server_headers  # One for each process, because uvicorn has one list for each process.
    if _server_headers[0] is not headers:
        _server_headers = (headers, answers.lines(headers))
    return _server_headers[1]


def _understand(block: bytes, cors: answers.Cors) -> _RequestHeaders | None:
    """Return the headers of a plain request; None if a header needs uvicorn or the application."""
    if not _HEADERS.fullmatch(block):
        return None
    values = {name.lower(): value for name, value in _READ.findall(block)}
    if values.pop(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return _RequestHeaders(block, values, cors) if values.keys() <= _UNDERSTOOD else None
