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
# How often each test that kills workers at random moments does so; `make kills` does it more often.
KILLS = int(os.environ.get("KILLS", "4"))


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process that shares this test's database and media folder."""
    media = settings.MEDIA_ROOT
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(media.parent / "data"),
        "MEDIA_DIR": str(media),
        "LOG_LEVEL": "INFO",
        "JOB_LEASE_SECONDS": "3",
        **changes,
    }


def start(*arguments: str, **changes: str) -> subprocess.Popen:
    """Start ``manage.py`` with these arguments as a process; ``changes`` are for its environment."""
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
    """Run a web server, of one process unless told, and return it with its port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start("run_web", **{"PORT": str(port), "WEB_WORKERS": "1", **changes})
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, log()
        yield process, port
    finally:
        end(process)


def end(process: subprocess.Popen) -> None:
    """Kill a process and its descendants, and wait for its end."""
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
    """Wait until ``condition`` returns a true value, and return it. Fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"The condition is not true after {seconds} s.\n{log()[-5000:]}")


def tools(name: str = "") -> list[psutil.Process]:
    """Return the running FFmpeg and Packager processes that work on this test's media."""
    media = str(settings.MEDIA_ROOT)
    running = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            line = process.cmdline()
            if not line or process.status() == psutil.STATUS_ZOMBIE:
                continue
            program = Path(line[0]).name
            ours = any(media in word for word in line) or process.cwd().startswith(media)
            if ours and name in program and any(tool in program for tool in TOOLS):
                running.append(process)
    return running


def is_alive(process: psutil.Process) -> bool:
    """Return whether ``process`` runs; a zombie, which its parent has not waited for, does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b" 200 " in client.recv(1000)
    return False


def database_url(name: str = "") -> str:
    """Return the URL of the test's own database, or of another one: a file, or a name on the server."""
    name = name or str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    connection.ensure_connection()
    server = (
        connection.connection.info
    )  # the server as it was reached, perhaps by a socket's folder
    query = urlencode({"host": server.host, "port": server.port})
    login = f"{server.user}:{quote(server.password)}"
    return f"postgres://{login}@/{name}?{query}"
