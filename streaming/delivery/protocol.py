"""uvicorn's HTTP/1.1 with a short way for the plain GET of a file that can be sent at once.

``uvicorn --http streaming.delivery.protocol:DeliveryProtocol``. Nearly all that players ask for is a
whole segment or playlist that lies in memory. For those the steps of a general server (a scope, a
task, a message and a check for each header) cost several times the work itself, and the kernel can
send the file without this process touching it.

The short way makes no decision of its own: it asks the delivery, says what the delivery would say,
and leaves to uvicorn and the ASGI application whatever is not exactly a plain, granted, warm GET:
other methods, bodies, ranges, conditions, refusals, forwarded and odd requests, unread answers.
"""

import logging
import os
import re
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from streaming.delivery import answers, asgi
from streaming.delivery.files import PUBLISHED, OpenFile
from streaming.delivery.grants import CHARACTERS

_START = f"GET {asgi.PREFIX}".encode()
_LINE = re.compile(
    rf"GET {asgi.PREFIX}([A-Za-z0-9_-]{{{CHARACTERS}}})/({PUBLISHED.pattern}) HTTP/1\.1".encode()
)
# Header lines as RFC 9110 and 9112 write them, and nothing looser: the parser gets the rest.
_HEADERS = re.compile(rb"\r\n(?:[A-Za-z0-9-]+:[\t -~]*\r\n)+\r\n")
# All that the delivery, the server or a proxy's middleware reads.
_READ = re.compile(
    rb"\n(user-agent|origin|x-request-id|connection|keep-alive|content-length|transfer-encoding"
    rb"|te|trailer|upgrade|expect|range|if-[a-z-]+|forwarded|x-forwarded-[a-z-]+|http2-settings)"
    rb":[ \t]*([^\r]*)",
    re.IGNORECASE,
)
_HARMLESS = {b"user-agent", b"origin", b"x-request-id"}


class _Request:
    """What a block of header lines says; a connection sends the same block again and again."""

    __slots__ = ("agent", "block", "cors", "given_id")

    def __init__(self, block: bytes, found: dict[bytes, bytes], cors: answers.Cors):
        self.block = block
        self.agent = found.get(b"user-agent", b"").decode("latin-1")
        self.given_id = found.get(b"x-request-id")
        self.cors = answers.lines(cors.headers(found.get(b"origin")))


class DeliveryProtocol(HttpToolsProtocol):
    application = asgi.application  # whose delivery is asked

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        logged = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        self._plain = not (logged or self.root_path or self.limit_concurrency)
        self._between_messages = True
        self._request: _Request | None = None
        self._answered_at = 0.0
        self._socket: socket.socket | None = None

    # --- uvicorn's events -----------------------------------------------------------------------

    def connection_made(self, transport):
        super().connection_made(transport)
        self._plain = self._plain and self.client is not None and self.scheme == "http"

    def connection_lost(self, exc):
        if self._socket is not None:
            self._socket.detach()  # the transport's, which closes it
            self._socket = None
        self._drained()
        super().connection_lost(exc)

    def on_message_begin(self):
        self._between_messages = False
        super().on_message_begin()

    def on_message_complete(self):
        self._between_messages = True
        super().on_message_complete()

    def _unsupported_upgrade_warning(self):
        self._plain = False  # the parser is no longer where a request begins
        super()._unsupported_upgrade_warning()

    def resume_writing(self):
        self._drained()
        super().resume_writing()

    def timeout_keep_alive_handler(self):
        """One timer a connection, moved when it fires instead of with every request."""
        rest = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(
                rest, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def data_received(self, data):
        # Only where a request begins: the same bytes inside a body are no request.
        if not (self._between_messages and data.startswith(_START) and self._answer(data)):
            super().data_received(data)

    # --- the short way --------------------------------------------------------------------------

    def _answer(self, data: bytes) -> bool:
        """Answer exactly one complete, plain request; False, and nothing done, for all others."""
        delivery = self.application.delivery
        idle = self.cycle is None or self.cycle.response_complete
        if not (self._plain and idle and delivery is not None) or self.flow.write_paused:
            return False
        line, _, _ = data.partition(b"\r\n")
        match = _LINE.fullmatch(line)
        if match is None:
            return False
        block = data[len(line) :]
        request = self._request
        if request is None or request.block != block:
            request = self._request = _understand(block, delivery)
            if request is None:
                return False
        found = delivery.at_once(
            match[1].decode(), match[2].decode(), match["video"].decode(), request.agent,
            self.client[0],
        )  # fmt: skip
        if found is None:
            return False
        session, file = found
        self._send(self._head(file, request, delivery), file)
        if self.flow.write_paused:
            delivery.draining[self] = session
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        return True

    def _head(self, file: OpenFile, request: _Request, delivery) -> bytes:
        """The same header lines as the long way's, those of the server first."""
        lines = file.variants.get("lines")
        if lines is None:
            lines = file.variants["lines"] = answers.lines(answers.whole(file))
        return b"HTTP/1.1 200 OK\r\n%b%b%bx-request-id: %b\r\n\r\n" % (
            _server_lines(self.server_state.default_headers),
            lines,
            request.cors,
            delivery.request_ids.take(request.given_id),
        )

    def _send(self, head: bytes, file: OpenFile) -> None:
        if file.content is not None:
            self.transport.write(head + file.content)
            return
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
                    if not count:  # the file has become shorter
                        self.transport.close()
                        return
                    sent += count
            except BlockingIOError:
                pass  # the socket is full: the rest waits in the transport
            except OSError:
                self.transport.abort()
                return
        if head:
            self.transport.write(head)
        if sent < file.size:
            self.transport.write(file.mapping.view[sent:])

    def _drained(self) -> None:
        if self.application.delivery is not None:
            self.application.delivery.draining.pop(self, None)

    def cut(self) -> None:
        """Drop the connection and what it has not sent yet."""
        self.transport.abort()


_server_headers: tuple[list, bytes] = ([], b"")


def _server_lines(headers: list) -> bytes:
    """Date and server, as lines; uvicorn makes a new list every second."""
    global _server_headers  # one per process
    if _server_headers[0] is not headers:
        _server_headers = (headers, answers.lines(headers))
    return _server_headers[1]


def _understand(block: bytes, delivery) -> _Request | None:
    """The block of header lines of a plain request, or None."""
    if not _HEADERS.fullmatch(block):
        return None
    found = {name.lower(): value for name, value in _READ.findall(block)}
    if found.pop(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return _Request(block, found, delivery.cors) if found.keys() <= _HARMLESS else None
