"""Attacks on the server: bytes that come slowly, in masses, or never."""

import socket
import time
from contextlib import ExitStack, closing

from attacks.client import Answer, call, head, send
from attacks.registry import attack, must
from attacks.service import API, Service

LOGIN = f"{API}/auth/login"
PATHS = ("/health/live", f"{API}/videos/", "/health/ready")


def others_are_answered(service: Service, rounds: int = 3) -> str:
    """Ask for a few pages as somebody else; return the longest time. Raises Fell."""
    answers: list[Answer] = [call(service.port, "GET", path) for path in PATHS * rounds]
    must(
        all(answer.status == 200 for answer in answers), f"{[answer.status for answer in answers]}"
    )
    return f"others waited at most {max(answer.seconds for answer in answers):.2f} s"


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), 10)


@attack("150 clients send half a sign-in", before="every thread held for ever; liveness timed out")
def half_bodies(service: Service, short: bool) -> str:
    half = head(f"POST {LOGIN}", "Content-Type: application/json", "Content-Length: 99") + b"{"
    with ExitStack() as crowd:
        for _ in range(150):
            crowd.enter_context(closing(connect(service))).sendall(half)
        seen = others_are_answered(service)
        body = {"email": "nobody@example.com", "password": "a whole body"}
        answer = call(service.port, "POST", LOGIN, body=body)
        must(answer.status in (401, 429), f"a whole sign-in was answered {answer.status}")
    return seen


@attack("200 clients send one byte a second", before="kept their connections for ever")
def slow_heads(service: Service, short: bool) -> str:
    with ExitStack() as crowd:
        clients = [crowd.enter_context(closing(connect(service))) for _ in range(200)]
        began, left, seen = time.monotonic(), list(clients), ""
        for byte in head("GET /health/live", "X-Slow: " + "a" * 60):
            if time.monotonic() - began > 16 or not left:
                break
            left = [client for client in left if _is_open_after(client, bytes([byte]))]
            seen = others_are_answered(service, rounds=1)
            time.sleep(1)
        lasted = time.monotonic() - began
    must(not left, f"{len(left)} clients were still connected after {lasted:.0f} s")
    return f"all closed after {lasted:.0f} s; {seen}"


def _is_open_after(client: socket.socket, data: bytes) -> bool:
    try:
        client.sendall(data)
        client.setblocking(False)
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        client.setblocking(True)


@attack("5,000 connections that ask nothing", before="every new connection was reset (1,024 files)")
def idle_connections(service: Service, short: bool) -> str:
    with ExitStack() as crowd:
        for _ in range(5000):
            crowd.enter_context(closing(connect(service)))
        return others_are_answered(service)


@attack("a header of 100 MB, and 100,000 headers", before="200 after 38 s; media stood for 20 s")
def long_heads(service: Service, short: bool) -> str:
    long = [head("GET /health/live")[:-2], b"X: ", *[b"a" * 1_000_000] * 100]
    lines = [head("GET /health/live")[:-2], *[b"X: a\r\n" * 1000] * 100]
    answers = [send(service.port, *parts) for parts in (long, lines)]
    must([answer.status for answer in answers] == [431, 431], f"{answers}")
    return f"431 after {max(answer.seconds for answer in answers):.2f} s"


@attack("a chunked body with a trailer of 50 MB", before="one process stood for 4 s")
def long_trailer(service: Service, short: bool) -> str:
    start = head(f"POST {LOGIN}", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX: "
    answer = send(service.port, start, *[b"a" * 500_000] * 100)
    must(answer.status == 431, f"{answer}")
    return f"431 after {answer.seconds:.2f} s"


@attack(
    "requests without end on one connection", before="hundreds of MB, and others waited for 2 s"
)
def pipelined(service: Service, short: bool) -> str:
    before, ask = service.memory(), head("GET /health/live") * 400
    with closing(connect(service)) as client:
        sent = 0
        try:
            while sent < 50_000_000:
                client.sendall(ask)
                sent += len(ask)
        except OSError:
            pass  # it was cut
        seen = others_are_answered(service)
        grown = service.memory() - before
    must(sent < 50_000_000 and grown < 100_000_000, f"{sent} bytes taken, {grown} bytes more")
    return f"cut after {sent / 1e6:.1f} MB; {seen}; the web server grew by {grown / 1e6:.0f} MB"


@attack("100 MB to an address of the admin site", before="20 GiB below MEDIA_DIR for anybody")
def large_body(service: Service, short: bool) -> str:
    before = service.bytes_on_disk()
    lines = ["Content-Type: multipart/form-data; boundary=x", f"Cookie: csrftoken={'a' * 32}"]
    start = head("POST /admin/anything", *lines, "Content-Length: 100000000")
    form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    answer = send(service.port, start, form, *[bytes(1_000_000)] * 100)
    grown = service.bytes_on_disk() - before
    must(answer.status == 413 and grown < 1_000_000, f"{answer.status}, {grown} bytes more on disk")
    return f"413 after {answer.seconds:.2f} s; the disk grew by {grown / 1000:.0f} kB"


@attack("200 clients that do not read their answers", before="each kept its connection for ever")
def unread_answers(service: Service, short: bool) -> str:
    ask = head("GET /api/schema/", "Accept: application/json") * 20
    before = service.memory()
    with ExitStack() as crowd:
        for _ in range(200):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", service.port))
            crowd.enter_context(closing(client)).sendall(ask)
        time.sleep(3)
        seen = others_are_answered(service)
        grown = service.memory() - before
    must(grown < 500_000_000, f"the web server grew by {grown / 1e6:.0f} MB")
    return f"{seen}; the web server grew by {grown / 1e6:.0f} MB"


@attack("60 uploads that stand still", before="each held a thread for hours")
def slow_uploads(service: Service, short: bool) -> str:
    lines = [
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Length: 1000000000",
        f"Authorization: Bearer {service.people['creator']['access']}",
    ]
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    with ExitStack() as crowd:
        for _ in range(60):
            client = crowd.enter_context(closing(connect(service)))
            client.sendall(head(f"POST {API}/videos/", *lines) + form + bytes(100_000))
        return others_are_answered(service)
