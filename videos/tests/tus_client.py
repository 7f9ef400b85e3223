"""A client of tus over a real connection, which can cut it at any byte."""

import base64
import http.client
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from videos.tests import processes

BYTES = "application/offset+octet-stream"
URL = "/api/v1/uploads/"


def metadata(**values: str) -> str:
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items()
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int, **changes: str) -> Iterator[subprocess.Popen]:
    """Run a web server of two processes on this port, which another one may have had before."""
    own = {"PORT": str(port), "WEB_WORKERS": "2", "RATE_LIMIT_DEFAULT": "0", **changes}
    server = processes.start("run_web", **own)
    try:
        processes.wait_for(lambda: processes._answers(port))
        yield server
    finally:
        processes.end(server)


class TusClient:
    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token

    def ask(self, method: str, url: str, body: bytes = b"", **headers: str):
        """Send one request on a connection of its own, and return the answer, which has been read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = self._headers(headers)
        if body or method == "PATCH":
            sent.setdefault("Content-Type", BYTES)
        try:
            connection.request(method, url, body or None, sent)
            answer = connection.getresponse()
            answer.content = answer.read()  # type: ignore[attr-defined]  # kept for the test
            return answer
        finally:
            connection.close()

    def begin(self, length: int, **headers: str) -> str:
        headers.setdefault("Upload_Metadata", metadata(filename="film.mp4", title="A film"))
        answer = self.ask("POST", URL, b"", Upload_Length=str(length), **headers)
        assert answer.status == 201, answer.content
        return answer.headers["Location"]

    def offset(self, url: str) -> int:
        answer = self.ask("HEAD", url)
        assert answer.status == 200, answer.status
        return int(answer.headers["Upload-Offset"])

    def patch(self, url: str, offset: int, body: bytes, **headers: str):
        return self.ask("PATCH", url, body, Upload_Offset=str(offset), **headers)

    def patch_and_cut(self, url: str, offset: int, body: bytes, cut: int) -> None:
        """Announce the whole body, send ``cut`` bytes of it, and reset the connection."""
        with self.open_patch(url, offset, len(body)) as connection, suppress(OSError):
            connection.sendall(body[:cut])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def open_patch(self, url: str, offset: int, length: int) -> socket.socket:
        """Send the head of a PATCH and return its connection."""
        headers = {
            **self._headers({"Upload_Offset": str(offset)}),
            "Content-Type": BYTES,
            "Content-Length": str(length),
            "Host": "localhost",
        }
        lines = [f"PATCH {url} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        connection = socket.create_connection(("127.0.0.1", self.port), 60)
        connection.sendall("\r\n".join(lines).encode())
        return connection

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {self.token}", **named}
