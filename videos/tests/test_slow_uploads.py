"""Many uploads that hardly move: they hold no thread of Django and little memory, and end well.

100 here; `make test-uploads` has 1,000.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from accounts import tokens
from videos.models import Upload, Video
from videos.tests import processes
from videos.tests.tus_client import BYTES, URL, metadata

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1024**2
UPLOADS = int(os.environ.get("SLOW_UPLOADS", "100"))
OF_ONE_ADDRESS = 50  # half of what may wait
SIZE, FIRST, STEP = MEGABYTE, 8_000, 8_000
EVERY_SECONDS = 4.0
MORE_MEMORY = 100 * MEGABYTE
WAVE, WARM, ASKED, ENDED = 5, 30, 20, 5


class SlowUpload:
    """One creation with its bytes, of which only a few come."""

    def __init__(self, port: int, token: str, address: str) -> None:
        headers = {
            "Host": "localhost",
            "Authorization": f"Bearer {token}",
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(SIZE),
            "Upload-Metadata": metadata(filename="slow.mp4", title="Slow"),
            "Content-Type": BYTES,
            "Content-Length": str(SIZE),
        }
        lines = [f"POST {URL} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self._connection = socket.create_connection(
            ("127.0.0.1", port), 60, source_address=(address, 0)
        )
        self._left = SIZE
        self._connection.sendall("\r\n".join(lines).encode())
        self.send(FIRST)

    def send(self, count: int) -> None:
        self._connection.sendall(bytes(min(count, self._left)))
        self._left -= min(count, self._left)

    def is_refused(self) -> bool:
        """Return whether an answer has come already."""
        self._connection.setblocking(False)
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK)) or True
        except BlockingIOError:
            return False
        finally:
            self._connection.setblocking(True)

    def end(self) -> int:
        """Send the rest, and return the status."""
        self.send(self._left)
        self._connection.settimeout(60)
        return int(self._connection.recv(1000).split()[1])

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def trickling(uploads: list[SlowUpload]) -> Iterator[None]:
    """Send a little for each of them now and then, so that none is given up."""
    stopped = threading.Event()

    def trickle() -> None:
        while not stopped.wait(EVERY_SECONDS):
            for upload in [*uploads]:
                upload.send(STEP)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@pytest.mark.long
def test_slow_uploads_hold_no_thread_of_django_and_little_memory(creator, media):
    token = tokens.issue(creator).access
    uploads: list[SlowUpload] = []
    with processes.web(WEB_WORKERS="2", RATE_LIMIT_DEFAULT="0") as (server, port):
        files = media / "resumable"
        warm_up(port, token, files)
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]

        def memory() -> int:
            return sum(process.memory_info().rss for process in family)

        idle = memory()
        with trickling(uploads):
            while len(uploads) < UPLOADS:
                address = f"127.0.1.{len(uploads) // OF_ONE_ADDRESS + 1}"
                wave = [SlowUpload(port, token, address) for _ in range(WAVE)]
                before = len(uploads)
                processes.wait_for(partial(are_begun, files, wave, before))
                # A busy machine refuses some at their start (503), and clients try again.
                uploads += [each for each in wave if not each.is_refused()]
            slowest = max(catalogue_seconds(port) for _ in range(ASKED))
            held = memory() - idle
            refused = sum(upload.is_refused() for upload in uploads)  # none is given up
        sys.stdout.write(  # for the long form
            f"\n{UPLOADS} slow uploads: {held / MEGABYTE:.0f} MB more memory; the slowest of {ASKED} "
            f"answers of the catalogue took {slowest:.2f} s\n"
        )
        assert refused == 0
        assert held < MORE_MEMORY
        assert slowest < 5  # each lane has at most eight threads
        assert [upload.end() for upload in uploads[:ENDED]] == [201] * ENDED
        assert Video.objects.count() == ENDED
        for upload in uploads:
            upload.close()
        processes.wait_for(lambda: len([*files.glob("*")]) == 0)
    assert Upload.objects.count() == ENDED  # a creation that broke off is no upload


def are_begun(files: Path, wave: list[SlowUpload], before: int) -> bool:
    """Return whether each upload of the wave has its file, or was refused."""
    return len([*files.glob("*")]) == before + sum(not each.is_refused() for each in wave)


def warm_up(port: int, token: str, files: Path) -> None:
    """Let each process have done the same before, so that its memory is that of one that works."""
    for _ in range(20):
        catalogue_seconds(port)
    for _ in range(2):
        wave = [SlowUpload(port, token, "127.0.0.1") for _ in range(WARM)]
        processes.wait_for(partial(are_begun, files, wave, 0))
        for upload in wave:
            upload.close()
        processes.wait_for(lambda: not [*files.glob("*")])


def catalogue_seconds(port: int) -> float:
    begun = time.monotonic()
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/videos/", timeout=60)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - begun
