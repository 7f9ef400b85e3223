"""Real workers and web servers for tests, on the test's own database and media folder."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil
from django.conf import settings
from django.db import connection

TOOLS = ("ffmpeg", "ffprobe", "packager")
PATIENCE = 60  # seconds; the machine may be busy


def environment(**changes: str) -> dict[str, str]:
    """What a process of ours needs to share the database and the media of this test."""
    media = settings.MEDIA_ROOT
    return {
        **os.environ,
        "DATABASE_URL": _database_url(),
        "DATA_DIR": str(media.parent / "data"),
        "MEDIA_DIR": str(media),
        "LOG_LEVEL": "INFO",
        "JOB_LEASE_SECONDS": "3",
        **changes,
    }


def start(*arguments: str, **changes: str) -> subprocess.Popen:
    """``manage.py`` with these arguments, in a process of its own."""
    with (settings.MEDIA_ROOT.parent / "processes.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def log() -> str:
    return (settings.MEDIA_ROOT.parent / "processes.log").read_text(errors="replace")


@contextlib.contextmanager
def worker(**changes: str) -> Iterator[subprocess.Popen]:
    process = start("run_worker", **changes)
    try:
        yield process
    finally:
        end(process)


@contextlib.contextmanager
def web(**changes: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """A web server of one process on a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start("run_web", PORT=str(port), WEB_WORKERS="1", **changes)
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, log()
        yield process, port
    finally:
        end(process)


def end(process: subprocess.Popen) -> None:
    """Kill a process with all that it started, and see it gone."""
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


def signal_family(process: subprocess.Popen, number: signal.Signals) -> None:
    parent = psutil.Process(process.pid)
    for member in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(number)


def wait_for(condition: Callable[[], object], *, seconds: float = PATIENCE):
    """What ``condition`` returns once it is true; fails the test when it does not come true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not come true in {seconds} s\n{log()[-5000:]}")


def tools(name: str = "") -> list[psutil.Process]:
    """FFmpeg and Packager processes that work on this test's media."""
    media = str(settings.MEDIA_ROOT)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            line = process.cmdline()
            if not line or process.status() == psutil.STATUS_ZOMBIE:
                continue
            program = Path(line[0]).name
            ours = any(media in word for word in line) or process.cwd().startswith(media)
            if ours and name in program and any(tool in program for tool in TOOLS):
                found.append(process)
    return found


def is_alive(process: psutil.Process) -> bool:
    """False also for one that has ended and that nobody has asked about yet."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b" 200 " in client.recv(1000)
    return False


def _database_url() -> str:
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{place['NAME']}"
    connection.ensure_connection()
    server = connection.connection.info  # what was really reached, a socket's folder included
    query = urlencode({"host": server.host, "port": server.port})
    login = f"{server.user}:{quote(server.password)}"
    return f"postgres://{login}@/{place['NAME']}?{query}"
