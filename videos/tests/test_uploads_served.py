"""Uploads through the real server: connections that break, and memory."""

import http.client
import json
import socket

import psutil
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from accounts import tokens
from audit.models import ApiRequest
from videos.models import ProcessingJob, Video
from videos.tests import processes

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1024**2
URL = "/api/v1/videos/"


def form(content: bytes) -> bytes:
    file = SimpleUploadedFile("video.mp4", content, "video/mp4")
    return encode_multipart(BOUNDARY, {"title": "A video", "file": file})


def head(token: str, *lines: str) -> bytes:
    text = [
        f"POST {URL} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token}",
        f"Content-Type: {MULTIPART_CONTENT}",
        *lines,
    ]
    return "\r\n".join([*text, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, dict]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def test_a_connection_that_breaks_off_leaves_nothing(creator, media):
    """Half a video, then silence; by a clean end of the connection and by a reset."""
    token = tokens.issue(creator).access
    body = form(bytes(4 * MEGABYTE))
    with processes.web() as (_, port):
        for number, linger in enumerate((None, b"\x01\0\0\0\0\0\0\0"), 1):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(head(token, f"Content-Length: {len(body)}"))
                client.sendall(body[: 2 * MEGABYTE])
                processes.wait_for(lambda: media.files() != [])
                if linger:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            processes.wait_for(
                lambda: ApiRequest.objects.filter(path=URL, status=400).count() == number  # noqa: B023
            )
            assert media.files() == []
        assert not Video.objects.exists()
        assert not ProcessingJob.objects.exists()


def test_the_server_answers_refused_uploads(creator, viewer, media):
    body = form(b"video")
    length = f"Content-Length: {len(body)}"
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    good, poor = tokens.issue(creator).access, tokens.issue(viewer).access
    cases = [
        (head("nonsense", length) + body, 401),
        (head(poor, length) + body, 403),
        (head(poor, "Content-Length: 5000000000"), 403),  # before a byte of the body
        (head(good, "Content-Length: 5000000000"), 413),
        (head(good, "Transfer-Encoding: chunked") + chunked, 411),
        (head(good, length).replace(MULTIPART_CONTENT.encode(), b"video/mp4") + body, 415),
    ]
    with processes.web(UPLOAD_MAX_BYTES="1000000") as (_, port):
        for request, status in cases:
            with socket.create_connection(("127.0.0.1", port), 30) as client:
                client.sendall(request)
                got, error = answer(client)
                assert (got, error["type"]) == (status, "client_error")
    assert media.files() == []
    assert not Video.objects.exists()


@pytest.mark.long
def test_memory_stays_flat_however_large_the_video(creator, media):
    """300 MB of a video that is mostly nothing, and the server grows by less than 64 MB.

    By hand, the same with 5 GB (2026-11-22, busy machine): from 78 to 84 MiB, 68 MB/s.
    """
    size = 300 * MEGABYTE
    begin, rest = form(b"@").split(b"@")
    with processes.web() as (server, port):
        warm_up(port, creator)
        process = psutil.Process(server.pid)
        idle = highest = process.memory_info().rss
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            length = len(begin) + size + len(rest)
            client.sendall(head(tokens.issue(creator).access, f"Content-Length: {length}"))
            client.sendall(begin)
            for _ in range(size // MEGABYTE):
                client.sendall(bytes(MEGABYTE))
                highest = max(highest, process.memory_info().rss)
            client.sendall(rest)
            status, video = answer(client)
            highest = max(highest, process.memory_info().rss)

    assert (status, video["source"]["size"]) == (201, size)
    assert highest - idle < 64 * MEGABYTE


def warm_up(port: int, creator) -> None:
    """Upload once, so that the memory of imports, threads and connections is not counted later."""
    body = form(b"video")
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(head(tokens.issue(creator).access, f"Content-Length: {len(body)}") + body)
        assert answer(client)[0] == 201
