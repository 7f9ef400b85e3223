"""Real servers of object storage for tests, each from its package, on a port of its own.

SeaweedFS is a server of many machines, here in one process. rclone shows a folder as buckets, and checks
signatures strictly.
"""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from videos.storage import Store
from videos.storage.chosen import store
from videos.tests.processes import end, signal_family

ACCESS, SECRET = "key-of-tests", "secret-of-tests"
BUCKET = "vod-media"
PATIENCE = 60.0
# SeaweedFS listens for other servers on the port of each part plus this number.
GRPC = 10_000


class Server:
    """A server that can be killed and started again with the same files and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            assert self._process.poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the server answer nothing, without ending a connection."""
        assert self._process is not None
        signal_family(self._process, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_family(self._process, signal.SIGCONT)

    def anonymous_status(self, path: str = "") -> int:
        """Return the status of the answer to somebody without a key."""
        return httpx.get(f"{self.endpoint}/{BUCKET}{path}", timeout=10).status_code

    def _is_ready(self) -> bool:
        try:
            return self.anonymous_status() < 500 and self.make_bucket()
        except httpx.TransportError:
            return False

    def make_bucket(self) -> bool:
        client = bucket_of(self).client
        try:
            names = [each["Name"] for each in client.list_buckets()["Buckets"]]
            if BUCKET not in names:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
            client.delete_object(Bucket=BUCKET, Key="ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def settings(self) -> dict[str, str]:
        """Return the settings of a service that uses this server, as an environment."""
        return {
            "STORAGE": "s3",
            "S3_ENDPOINT": self.endpoint,
            "S3_BUCKET": BUCKET,
            "S3_ACCESS_KEY": ACCESS,
            "S3_SECRET_KEY": SECRET,
            "S3_PREFIX": "vod/",
        }


class SeaweedFS(Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = _ports_with_grpc(3)
        (folder / "data").mkdir(exist_ok=True)
        identity = {
            "name": "vod",
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    def command(self) -> list[str]:
        master, volume, filer = self._ports
        return [
            *(_program("weed"), "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={master}", f"-volume.port={volume}", "-volume.max=100"),
            *("-master.volumeSizeLimitMB=64", "-filer", f"-filer.port={filer}"),
            *(
                "-s3",
                f"-s3.port={self.port}",
                f"-s3.port.grpc={_free_port()}",
                "-s3.config=s3.json",
            ),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            "-master.telemetry=false",  # it would tell its makers of the tests
        ]


class Rclone(Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "files").mkdir(exist_ok=True)

    def command(self) -> list[str]:
        return [
            *(_program("rclone"), "serve", "s3", "--config", "/dev/null", "--no-cleanup"),
            *("--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{ACCESS},{SECRET}"),
            str(self.folder / "files"),
        ]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"missing: {name}")
    return found


def emptied(server: Server):
    """Return the bucket of a server, without objects."""
    found = bucket_of(server)
    found.remove("")
    return found


def bucket_of(server: Server):
    """Return the bucket of a server."""
    from videos.storage.bucket import Bucket

    return Bucket(
        bucket=BUCKET,
        prefix="vod/",
        endpoint=server.endpoint,
        access_key=ACCESS,
        secret_key=SECRET,
    )


@contextlib.contextmanager
def running(kind: type[Server], folder: Path) -> Iterator[Server]:
    server = _started(kind, folder)
    try:
        yield server
    finally:
        server.kill()


def _started(kind: type[Server], folder: Path) -> Server:
    """Start a server. Another process may take one of its free ports first: then try others."""
    for attempt in range(3):
        server = kind(folder if not attempt else folder.with_name(f"{folder.name}-{attempt}"))
        try:
            server.start()
        except AssertionError:
            server.kill()
            if "address already in use" not in server._log():
                raise
        else:
            return server
    raise AssertionError(f"{kind.__name__} found its ports taken three times.")


def use(settings, server: Server, *, is_new: bool = True) -> Store:
    """Let this process use the server, for a service that ``is_new``, and return the store."""
    for name, value in server.settings().items():
        setattr(settings, name, value)
    settings.S3_REGION, settings.S3_PATH_STYLE = "us-east-1", True
    store().adopt(is_new=is_new)
    return store()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _ports_with_grpc(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = _free_port()
        if port + GRPC < 65_536:
            found.append(port)
        else:
            found.append(port - GRPC)
    return found
