"""A real service for the attacks: a web server and a worker on a database and a folder of their own."""

import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import psutil

from attacks.client import Answer, call

API = "/api/v1"
MARK = "a-boundary-of-the-attacks"
PROCESSING_SECONDS = 120
REPO = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery staple"  # of every account of the attacks
READY_SECONDS = 60


class Service:
    """The processes, and the accounts and videos that `attacks.people` has made.

    ``people`` has the tokens of the viewers, the creator and the administrator; ``videos`` the ids of a
    free and a paid video, both READY.
    """

    def __init__(self, folder: Path, *, viewers: int) -> None:
        """Prepare the database and start the processes. With DATABASE_URL, that database is used."""
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._environment = {
            **os.environ,
            "ENV_FILE": os.devnull,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATA_DIR": str(folder),
            "PORT": str(self.port),
            "WEB_WORKERS": "2",
            "LOG_LEVEL": "WARNING",
            "DEFAULT_ADMIN_PASSWORD": PASSWORD,
            "RATE_LIMIT_DEFAULT": "1000000",  # the load comes from one address
            "RATE_LIMIT_STREAM": "1000000",
        }
        self.log = folder / "service.log"
        self._output: IO[bytes] = self.log.open("ab")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.manage("migrate", "-v0")
        self.manage("seed", "-v0")
        self.start("run_web")
        self.start("run_worker")
        made = self.run("-m", "attacks.people", str(viewers))
        self.people: dict[str, Any] = json.loads(made.splitlines()[-1])
        clip = folder / "clip.mp4"
        self.manage("make_clip", str(clip))
        self.clip = clip.read_bytes()
        self.videos = {"free": self.publish("Free"), "paid": self.publish("Paid", price="9.99")}

    def upload(self, title: str, content: bytes, **fields: str) -> Answer:
        """Upload a video as the creator."""
        parts = [
            f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in {"title": title, **fields}.items()
        ]
        named = 'Content-Disposition: form-data; name="file"; filename="clip.mp4"'
        form = "".join(parts) + f"--{MARK}\r\n{named}\r\nContent-Type: video/mp4\r\n\r\n"
        body = form.encode() + content + f"\r\n--{MARK}--\r\n".encode()
        kind = f"multipart/form-data; boundary={MARK}"
        token = self.people["creator"]["access"]
        return call(self.port, "POST", f"{API}/videos/", token=token, body=body, Content_Type=kind)

    def publish(self, title: str, price: str = "") -> str:
        """Upload the clip as a video, wait until it is READY, and return its id."""
        fields = {"is_paid": "true", "price": price} if price else {}
        video = self.upload(title, self.clip, **fields).json["id"]
        end = time.monotonic() + PROCESSING_SECONDS
        while time.monotonic() < end:
            answer = call(
                self.port, "GET", f"{API}/videos/{video}", token=self.people["creator"]["access"]
            )
            if answer.json["status"] == "READY":
                return str(video)
            time.sleep(0.3)
        raise SystemExit(f"The video is not READY: {answer.json}")

    def run(self, *arguments: str) -> str:
        """Run Python with these arguments in the service's environment, and return its output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=REPO, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def manage(self, *arguments: str) -> str:
        return self.run("manage.py", *arguments)

    def start(self, command: str, **changes: str) -> None:
        """Start `manage.py run_web` or `run_worker`; a web server is awaited."""
        self.processes[command] = subprocess.Popen(
            [sys.executable, "manage.py", command],
            cwd=REPO, env={**self._environment, **changes}, stdin=subprocess.DEVNULL,
            stdout=self._output, stderr=self._output,
        )  # fmt: skip
        if command == "run_web":
            self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            time.sleep(0.1)
        raise SystemExit(f"The web server does not answer.\n{self.log.read_text()[-3000:]}")

    def stop(self, command: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a process with all of its descendants, and wait for them."""
        process = self.processes.pop(command)
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            family = [parent, *parent.children(recursive=True)]
        if number == signal.SIGKILL:
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        else:
            process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()

    def restart_web(self, **changes: str) -> None:
        """Restart the web server, with these changes of its environment."""
        self.stop("run_web")
        self.start("run_web", **changes)

    def close(self) -> None:
        for command in list(self.processes):
            self.stop(command)
        self._output.close()

    def memory(self, command: str = "run_web") -> int:
        """Return the resident bytes of a process and its descendants."""
        parent = psutil.Process(self.processes[command].pid)
        total = 0
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def bytes_on_disk(self) -> int:
        """Return the size of everything below the folder of data, without SQLite's write-ahead logs."""
        for path in self.folder.glob("*.sqlite3"):
            with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def log_lines(self, text: str) -> int:
        return self.log.read_text(errors="replace").count(text)
