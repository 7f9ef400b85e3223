"""Requests that no HTTP library sends: their bytes, for one operation each, and a client for them."""

import contextlib
import http.client
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote

JSON = (b"Content-Type", b"application/json")
FORM = (b"Content-Type", b"multipart/form-data; boundary=x")
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n'
PART = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'


@dataclass(frozen=True)
class Wire:
    """One request as bytes. ``length`` is the Content-Length; None stands for that of the body."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    version: bytes = b"HTTP/1.1"
    host: bytes | None = b"localhost"
    lines: tuple[bytes, ...] = ()  # further header lines, just as they are
    framed: bool = True  # False: the lines say how long the body is

    def __bytes__(self) -> bytes:
        lines = [b" ".join(part for part in (self.method, self.target, self.version) if part)]
        if self.host is not None:
            lines.append(b"Host: " + self.host)
        lines += [name + b": " + value for name, value in self.headers]
        lines += self.lines
        if self.framed and (self.body or self.method in {b"POST", b"PUT", b"PATCH"}):
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"Connection: close", b"", self.body])

    def with_header(self, name: bytes, value: bytes) -> "Wire":
        """Return the request with this header in the place of another one of its name."""
        others = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*others, (name, value)))

    def as_command(self, port: int) -> str:
        """Return a shell command that sends these bytes and shows the answer."""
        text = "".join(
            chr(byte) if 32 <= byte < 127 and byte not in b"\\'%" else f"\\x{byte:02x}"
            for byte in bytes(self)[:3000]
        )
        return f"printf '{text}' | nc 127.0.0.1 {port}"


@dataclass
class Answer:
    """What the server sent: a status of 0 means that it closed the connection without an answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def send(port: int, request: Wire, *, seconds: float = 15) -> Answer:
    """Send the bytes on a new connection, and read one answer. Raises TimeoutError."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        with contextlib.suppress(OSError):  # the server has answered already, and reads no more
            client.sendall(bytes(request))
        response = http.client.HTTPResponse(client, method=request.method.decode("latin-1"))
        try:
            response.begin()
            body = response.read()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return Answer()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body)


# --- the attacks ----------------------------------------------------------------------------------

TARGETS: list[Callable[[bytes], bytes]] = [
    lambda path: b"/" + path,
    lambda path: path.replace(b"/v1/", b"//v1//"),
    lambda path: path + b"//",
    lambda path: path + b"/.",
    lambda path: path + b"/../x",
    lambda path: path + b"/..;/x",
    lambda path: path + b";jsessionid=1",
    lambda path: path.replace(b"/v1/", b"/v1%2F"),
    lambda path: path.replace(b"/v1/", b"/v1/%2e%2e/v1/"),
    lambda path: path.replace(b"/", b"\\"),
    lambda path: path.upper(),
    lambda path: quote(path, safe="").encode(),
    lambda path: b"".join(b"%%%02x" % byte if byte != 47 else b"/" for byte in path),
    lambda path: path + b"%00",
    lambda path: path + b"%ff",
    lambda path: path + b"%ed%a0%80",
    lambda path: path + b"%",
    lambda path: path + b"%zz",
    lambda path: path + b"\xff\xfe",
    lambda path: path + "/é🎬".encode(),
    lambda path: path + b"/" + b"x" * 9000,
    lambda path: path + b"/" + b"x" * 60_000,
    lambda path: path + b"/x" * 20_000,
    lambda path: b"http://localhost" + path,
    lambda path: b"http://evil.example" + path,
    lambda path: b"HTTPS://user:secret@localhost:1" + path,
    lambda path: b"javascript:" + path,
    lambda path: path + b"#fragment",
    lambda path: path[1:],
    lambda path: b"*",
    lambda path: b"",
    lambda path: path + b"?%ff=%00&a=1;b=2&[]=&=&&&",
    lambda path: path + b"?page_size=\xff\xfe&cursor=%ed%a0%80",
    lambda path: path + b"?" + b"a=1&" * 10_000,
    lambda path: path + b"?" + b"page_size=1&" * 500,
    lambda path: path + b"?a b=c",
    lambda path: path + b"?format=%00",
]
METHODS = [
    b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"FOO", b"get", b"PROPFIND", b"QUERY", b"PRI",
    b"G\xc9T",
    b"GET\x00", b"", b"X" * 5000, b"DELETE", b"PUT", b"PATCH", b"POST",
]  # fmt: skip
HEADERS = [
    (b"Expect", b"100-continue"), (b"Expect", b"200-ok"), (b"Expect", b"\xff"),
    (b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"br, gzip"),
    (b"Content-Encoding", b"\xff"),
    (b"Content-Type", b"application/json; charset=utf-7"), (b"Content-Type", b"x/y; charset=hex"),
    (b"Content-Type", b'application/json; charset="'),
    (b"Content-Type", b"application/json, text/plain"),
    (b"Content-Type", b"application/json; charset=utf-8; charset=utf-16"), (b"Content-Type", b""),
    (b"Content-Type", b"\xff/\xfe"), (b"Content-Type", b"multipart/form-data"),
    (b"Content-Type", b"multipart/form-data; boundary=\xff"), (b"Content-Type", b"a/b;" * 2000),
    (b"Content-Type", b"multipart/form-data; boundary*=utf-8''x"), (b"Content-Type", b"; ; ="),
    (b"Content-Type", b"application/x-www-form-urlencoded; charset=rot13"),
    (b"Accept", b"*/*;q=x"), (b"Accept", b"application/xml"), (b"Accept", b"\xff"),
    (b"Accept", b"text/html"),
    (b"Accept", b"a/b," * 5000), (b"Accept", b"application/json; indent=999999999"),
    (b"Accept", b"application/json; version=\x01"), (b"Accept-Language", b"x-" * 9000),
    (b"Accept-Language", b"de;q=9e999"), (b"Accept-Encoding", b"gzip;q=nan, *;q=-1"),
    (b"Authorization", b"Bearer \xff\xfe"), (b"Authorization", b"Basic Zg=="),
    (b"Authorization", b"Bearer"),
    (b"Authorization", b"Bearer " + b"a." * 9000), (b"Authorization", b"Bearer a b"),
    (b"Authorization", b"bearer e30.e30.e30"),
    (b"Authorization", b"Bearer eyJhbGciOiJub25lIn0.e30."),
    (b"Cookie", b"\xff=\x01; ="), (b"Cookie", b"csrftoken=x; sessionid=" + b"y" * 9000),
    (b"Range", b"bytes=-9999999999999999999999"), (b"Range", b"bytes=0-0," * 3000),
    (b"Range", b"\xff"),
    (b"If-None-Match", b'W/"\xff'), (b"If-Modified-Since", b"Sat, 32 Foo 99999 25:61:61 GMT"),
    (b"If-Match", b"*"), (b"If-Range", b"x"), (b"Origin", b"null"), (b"Origin", b"http://\xff"),
    (b"X-HTTP-Method-Override", b"DELETE"), (b"X-Forwarded-For", b"unknown, \xff, 999.1.1.1"),
    (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil.example"),
    (b"Forwarded", b"for=_x;host="),
    (b"X-Request-ID", b"\xff" * 20), (b"X-Request-ID", b"a" * 5000),
    (b"User-Agent", b"\xff" * 5000),
    (b"Idempotency-Key", b"\xff"), (b"Idempotency-Key", b"k" * 9000), (b"Idempotency-Key", b""),
    (b"Playback-Grant", b"\xff\x01"), (b"Referer", b"\xff"), (b"Upgrade", b"h2c"),
    (b"Upgrade", b"websocket"),
    (b"TE", b"trailers, x;q=nan"), (b"Max-Forwards", b"-1"), (b"Via", b"\xff"),
    (b"Content-MD5", b"x"),
    (b"Content-Length_", b"5"), (b"Content_Length", b"5"), (b"Transfer-Encoding ", b"chunked"),
]  # fmt: skip
HOSTS = [
    None,
    b"",
    b"a b",
    b"localhost:99999",
    b"localhost:x",
    b"[::1",
    b"\xff",
    b"evil.example",
    b"@",
    b"a" * 5000,
]
LINES = [
    (b"Host: evil.example",), (b"Authorization: Bearer x", b"Authorization: Bearer y"),
    (b"no colon",),
    (b": no name",), (b"Space : before",), (b" folded: line",), (b"X: a\r\n folded",),
    (b"X: a\x00b",),
    (b"X: a\rb",), (b"X: a\nY: b",), (b"\xff\xfe: x",), (b"X:" + b"\t" * 5000,),
]  # fmt: skip
CHUNKED = b"Transfer-Encoding: chunked"
FRAMES: list[tuple[tuple[bytes, ...], bytes]] = [
    ((CHUNKED,), b"2\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED, b"Trailer: X-Request-ID"), b"2\r\n{}\r\n0\r\nX-Request-ID: from-a-trailer\r\n\r\n"),
    ((CHUNKED,), b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nContent-Length: 9\r\n\r\n"),
    ((CHUNKED,), b"2;extension=\xff\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED,), b"2\r\n{}0\r\n\r\n"),
    ((CHUNKED,), b"zz\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED,), b"-2\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED,), b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED,), b"0x2\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED, b"Content-Length: 2"), b"2\r\n{}\r\n0\r\n\r\n"),
    ((CHUNKED, CHUNKED), b"2\r\n{}\r\n0\r\n\r\n"),
    ((b"Transfer-Encoding: gzip, chunked",), b"2\r\n{}\r\n0\r\n\r\n"),
    ((b"Transfer-Encoding: identity",), b"{}"),
    ((b"Transfer-Encoding: xchunked",), b"2\r\n{}\r\n0\r\n\r\n"),
    ((b"Transfer-Encoding:\x0bchunked",), b"2\r\n{}\r\n0\r\n\r\n"),
    ((b"Content-Length: 2", b"Content-Length: 2"), b"{}"),
    ((b"Content-Length: 2", b"Content-Length: 3"), b"{} "),
    ((b"Content-Length: 2, 2",), b"{}"),
    ((b"Content-Length: +2",), b"{}"),
    ((b"Content-Length: 0x2",), b"{}"),
    ((b"Content-Length: -1",), b"{}"),
    ((b"Content-Length: 99999999999999999999",), b"{}"),
    ((b"Content-Length: \xd9\xa2",), b"{}"),
    ((b"Content-Length: 2",), b"{}GET /api/v1/users/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
]  # fmt: skip
VERSIONS = [
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"HTTP/1.1 ",
    b"",
    b"http/1.1",
    b"SPDY/3",
    b"HTTP/1.\xff",
]
FORMS = [
    b"", b"--x", b"--x--", b"--x\r\n", b"--x\r\n\r\n--x--\r\n", b"--y--\r\n", b"\r\n" * 5000,
    PART % (b"title", b"\xff\xfe") + b"--x--\r\n", PART % (b"title", b"\x00") + b"--x--\r\n",
    PART % (b"title", b"\xed\xa0\x80") + b"--x--\r\n", PART % (b"\xff", b"x") + b"--x--\r\n",
    PART % (b"title", b"A") * 2 + b"--x--\r\n", PART % (b"t", b"1") * 300 + b"--x--\r\n",
    PART % (b"tags", b"a") * 30 + b"--x--\r\n", PART % (b"title", b"A" * 100_000) + b"--x--\r\n",
    PART % (b"file", b"no file name") + b"--x--\r\n", b"--x\r\n" + b"A: b\r\n" * 500,
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="\x00"\r\n\r\nx\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../x"\r\n\r\nx\r\n--x--\r\n',
    b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-9''%ff\r\n\r\nx\r\n--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--\r\n",
    FILE % (b"a" * 9000) + b"\r\nx\r\n--x--\r\n",
    b'--x\r\nContent-Disposition: attachment\r\n\r\nx\r\n--x--\r\n',
    b'--x\r\nContent-Type: text/plain; charset=hex\r\nContent-Disposition: form-data; name="title"\r\n'
    b"\r\n41\r\n--x--\r\n",
    (FILE % b"a" + b"\r\nx\r\n") * 2 + b"--x--\r\n",
]  # fmt: skip


def attacks(request: Wire) -> Iterator[Wire]:
    """Yield every hostile form of a good request for one operation."""
    for change in TARGETS:
        yield replace(request, target=change(request.target))
    for method in METHODS:
        yield replace(request, method=method)
    for name, value in HEADERS:
        yield request.with_header(name, value)
    for host in HOSTS:
        yield replace(request, host=host)
    for lines in LINES:
        yield replace(request, lines=lines)
    for lines, body in FRAMES:
        yield replace(request, lines=lines, body=body, framed=False)
    for version in VERSIONS:
        yield replace(request, version=version)
    if request.target.endswith((b"/videos/", b"/file")):
        for form in FORMS:
            yield replace(request.with_header(*FORM), body=form)


def sample(requests: list[Wire], number: int, chance: random.Random) -> list[Wire]:
    return requests if number >= len(requests) else chance.sample(requests, number)
