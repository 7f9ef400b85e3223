"""A running stack for tests, with a folder and ports of its own, and a stranger who watches a video."""

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import psutil

from stack import parts, plan
from stack.control import Supervisor
from stack.parts import Part
from stack.plan import BASE_DIR, Plan

# Generous: other work may have the machine's processors.
START_SECONDS, BACK_SECONDS, STOP_SECONDS = 900.0, 300.0, 180.0
COMMAND_SECONDS = 900.0
NAMES = [
    "postgresql", "valkey", "seaweedfs", "light", "heavy", "beat", "web-1", "web-2", "nginx"
]  # fmt: skip
# Quick encodes, no limit for a load that comes from one address, and tokens for a whole run.
SETTINGS = {
    "FFMPEG_PRESET": "ultrafast",
    "RATE_LIMIT_DEFAULT": "1000000",
    "RATE_LIMIT_STREAM": "1000000",
    "ACCESS_TOKEN_EXPIRE_MINUTES": "120",
}


class Stack:
    """A stack that runs from `start` to `stop`."""

    def __init__(self, folder: Path, storage: str = "") -> None:
        self.folder, self.storage = folder, storage
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the stack, on free ports again, and wait until it shows that it works."""
        self.starts += 1
        self.output = self.folder.with_name(f"output-{self.starts}")
        arguments = ["start", "--folder", str(self.folder), "--port", "0"]
        arguments += ["--storage", self.storage] if self.storage else []
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack", *arguments],
                cwd=BASE_DIR,
                env={**os.environ, **SETTINGS},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.wait_for(lambda: "Ctrl-C" in self.text(), START_SECONDS)
        self.plan: Plan = plan.load(self.folder)
        self.http = self.client()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def client(self) -> httpx.Client:
        """Return a new client of nginx, which trusts its certificate alone."""
        trust = ssl.create_default_context(cafile=str(self.plan.certificate))
        return httpx.Client(base_url=self.plan.url, verify=trust, timeout=60)

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, condition: Callable[[], object], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert self.is_running, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)
        return value

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the stack: `status`, `demo` or `start`."""
        return self._run("-m", "stack", *arguments, "--folder", str(self.folder), env=os.environ)

    def python(self, *arguments: str) -> str:
        """Run Python as a command on the stack, such as `manage.py`, and return what it says."""
        settings = self.plan.environment(**SETTINGS)
        done = self._run(*arguments, env=settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _run(self, *arguments: str, env) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=BASE_DIR,
            env=env,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    def pid(self, name: str) -> int:
        return Supervisor(self.plan).processes()[name].pid

    def wait_until_all_work(self) -> None:
        """Wait until each part runs and has said once that it works.

        They need not say so at the same moment: on a busy machine one of them is always late.
        """
        for part in parts.all_of(self.plan):
            self.wait_for(partial(self._works, part), BACK_SECONDS)

    def _works(self, part: Part) -> bool:
        if Supervisor(self.plan).processes()[part.name].state != "RUNNING":
            return False
        try:
            part.health(self.plan)
        except Exception:  # noqa: BLE001 - each client raises errors of its own
            return False
        return True

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Press Ctrl-C, or send another signal to the supervisor, and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def running(storage: str = "") -> Iterator[Stack]:
    """Start a stack in a folder of its own, and stop it, whatever happens."""
    # PostgreSQL runs as another user where the tests run as root, so that the folder lets it pass.
    with tempfile.TemporaryDirectory(prefix="vod-stack-") as name:
        Path(name).chmod(0o755)
        stack = Stack(Path(name) / "stack", storage)
        family: list[psutil.Process] = []
        try:
            stack.start()
            yield stack
        finally:
            if stack.is_running:
                family = stack.family()
                stack.stop()
            for process in family:
                if process.is_running():
                    process.kill()


def addresses(http: httpx.Client, url: str, playlist: str) -> list[str]:
    """Return the addresses of the segments of the first rendition that a playlist names."""
    address = urljoin(url, playlist)
    while True:
        text = http.get(address).raise_for_status().text
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        found = [urljoin(address, line) for line in lines]
        if not found[0].partition("?")[0].endswith(".m3u8"):
            return found
        address = found[0]


def watch(stack: Stack, video: str) -> tuple[httpx.Response, str]:
    """Start playback as a stranger; return one segment and its address."""
    token = stack.http.get(f"/api/v1/stream/{video}").raise_for_status().json()
    headers = {"Accept": "application/json"}
    started = stack.http.get(token["stream_url"], headers=headers).raise_for_status().json()
    address = addresses(stack.http, stack.plan.url, started["hls_url"])[0]
    return stack.http.get(address), address
