"""A server between nginx and its bucket: it counts what nginx asks, and can answer for the bucket."""

import contextlib
import http.client
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass
class Between:
    """What was asked (method, path, headers in lower case), and how the next requests are answered.

    ``instead`` is a status, headers and a body for paths that end with one of ``only``.
    """

    port: int = 0
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pause: float = 0.0
    instead: tuple[int, list[tuple[str, str]], bytes] | None = None
    only: tuple[str, ...] = ("",)

    def count(self, name: str, status: int = 200) -> int:
        """Return how often the bucket gave an object with this status."""
        pairs = zip(self.asked, self.statuses, strict=False)
        return sum(asked[1].endswith(name) and status == told for asked, told in pairs)


@contextlib.contextmanager
def between(bucket_port: int, *, certificate: tuple[Path, Path] | None = None):
    """Run the server until the block ends; with a certificate it speaks TLS."""
    state, lock = Between(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            given = {name.lower(): value for name, value in self.headers.items()}
            time.sleep(state.pause)
            if state.instead and self.path.endswith(state.only):
                status, headers, body = state.instead
            else:
                status, headers, body = self._of_bucket()
            with lock:
                state.asked.append((self.command, self.path, given))
                state.statuses.append(status)
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if status == 304:
                body = b""
            elif not any(name.lower() == "content-length" for name, _ in headers):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)
            if any(name == "X-Cut" for name, _ in headers):
                self.close_connection = True

        do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

        def _of_bucket(self):
            link = http.client.HTTPConnection("127.0.0.1", bucket_port, timeout=10)
            try:
                link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP:
                        link.putheader(name, value)
                link.endheaders()
                answer = link.getresponse()
                headers = [each for each in answer.getheaders() if each[0].lower() not in HOP]
                return answer.status, headers, answer.read()
            finally:
                link.close()

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request, client_address):
            """Say nothing: nginx goes away when it does not trust the certificate."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
