"""Measure one long video that is made in chunks by one worker and by two on two machines.

    .venv/bin/python benchmarks/machines.py [--seconds 240] [--chunk 30] [--rounds 3]

The servers are those of `make stack`: PostgreSQL, Valkey, SeaweedFS and beat. Its web servers, nginx and
heavy worker are stopped. Each machine is a worker of Celery with a folder and, started by root, a user
and a process namespace of its own, pinned to one processor. The machines share the servers and nothing
else; the servers may use both processors. Wall time is that of the job, from its claim to READY, and
includes the ways to and from the bucket. The goal is that two machines take at most 0.56 of the time of
one. It needs a computer that does nothing else.
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from chunks import PATIENCE_SECONDS, ROOT, make, upload

from stack import health, parts, plan
from stack.control import Supervisor

GOAL = 0.56
NAMESPACES = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child"]
FIRST_USER = 61_001  # of the machines; these numbers need no account
START_SECONDS = 900  # the computer may be busy
NEEDED = ("postgresql", "valkey", "seaweedfs", "light", "beat")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=240, help="length of the video")
    parser.add_argument("--chunk", type=int, default=30, help="length of a chunk in seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="veryfast")
    return parser.parse_args()


class Machine:
    """A worker with a folder and a processor; where possible, with a user and processes of its own."""

    def __init__(self, number: int, folder: Path, environment: dict[str, str]) -> None:
        self.name = f"machine-{number + 1}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self._environment = {
            **environment, "DATA_DIR": str(self.folder), "HOME": str(self.folder),
            "TMPDIR": str(self.folder), "ENV_FILE": os.devnull,
        }  # fmt: skip
        self._user = FIRST_USER + number
        self._processor = sorted(os.sched_getaffinity(0))[number]
        self._log = self.folder / "log"

    def start(self, chosen: plan.Plan) -> None:
        """Start the worker, and wait until it answers through the broker."""
        command = ["taskset", "-c", str(self._processor)]
        if has_namespaces():
            command += NAMESPACES
        if has_users():
            os.chown(self.folder, self._user, self._user)
            command += as_user(self._user)
        command += [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "transcode"]
        command += ["-c", "1", "-n", f"heavy@{self.name}", "--without-mingle"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: self._answers(chosen), START_SECONDS, self.log)

    def stop(self) -> None:
        """End the worker, which has nothing to do, and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    def _answers(self, chosen: plan.Plan) -> bool:
        if self._process.poll() is not None:
            raise SystemExit(f"The worker of {self.name} ended:\n{self.log()}")
        try:
            health.worker(chosen, f"heavy@{self.name}")
        except Exception:  # noqa: BLE001 - it has not started yet
            return False
        return True


def has_namespaces() -> bool:
    """Return whether machines can have process namespaces of their own."""
    return not os.geteuid() and _succeeds([*NAMESPACES, "true"])


def has_users() -> bool:
    """Return whether machines can have users of their own: others must be able to run this Python.

    A virtual environment whose Python lies in root's home is root's alone.
    """
    same = f"import sys, redis.asyncio; sys.exit(sys.version_info[:3] != {sys.version_info[:3]})"
    return has_namespaces() and _succeeds([*as_user(FIRST_USER), sys.executable, "-c", same])


def as_user(number: int) -> list[str]:
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]


def _succeeds(command: list[str]) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def wait_for(condition: Callable[[], object], seconds: float, text: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happens.\n{text()}")
        time.sleep(0.2)


@contextlib.contextmanager
def servers(folder: Path, environment: dict[str, str]) -> Iterator[plan.Plan]:
    """Start the stack, and stop what the machines do not need."""
    home, output = folder / "stack", folder / "output"
    command = ["-m", "stack", "start", "--folder", str(home), "--port", "0"]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        wait_for(
            lambda: "Ctrl-C" in output.read_text() or process.poll() is not None,
            START_SECONDS, output.read_text,
        )  # fmt: skip
        if process.poll() is not None:
            raise SystemExit(output.read_text())
        chosen = plan.load(home)
        for part in parts.all_of(chosen):
            if part.name not in NEEDED:
                Supervisor(chosen).stop(part)
        yield chosen
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def measure(source: Path, creator, machines: list[Machine], chosen: plan.Plan) -> float:
    """Let these machines make a new video of the source; return the wall time of its job."""
    from django.db import transaction

    from videos.models import Chunk, ProcessingJob

    for machine in machines:
        machine.start(chosen)
    helpers: set[str] = set()
    try:
        with transaction.atomic():  # no worker sees the job before its stage is set
            video = upload(source, creator)
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and video.status not in ("READY", "FAILED"):
            time.sleep(0.2)
            helpers |= set(Chunk.objects.exclude(worker="").values_list("worker", flat=True))
            video.refresh_from_db()
    finally:
        for machine in machines:
            machine.stop()
    job = ProcessingJob.objects.get(video=video)
    if video.status != "READY" or not (job.started_at and job.finished_at):
        raise SystemExit(f"The video is {video.status}: {job.error_detail}\n{machines[0].log()}")
    if len(helpers) != len(machines):
        print(f"note: chunks were made by {sorted(helpers)}")
    return (job.finished_at - job.started_at).total_seconds()


def main() -> None:
    options = arguments()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("Two machines need two processors.")
    with tempfile.TemporaryDirectory(prefix="vod-machines-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # other users pass through it
        environment = {
            **os.environ, "FFMPEG_PRESET": options.preset, "FFMPEG_SANDBOX": "limits",
            "CHUNKS_FROM_SECONDS": "1", "CHUNK_SECONDS": str(options.chunk),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with servers(folder, environment) as chosen:
            environment |= chosen.settings()
            os.environ |= {**environment, "ENV_FILE": os.devnull}
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
            report(options, folder, environment, chosen)


def report(
    options: argparse.Namespace, folder: Path, environment: dict[str, str], chosen: plan.Plan
) -> None:
    import django

    django.setup()
    from accounts.models import User
    from accounts.roles import Role

    creator = User.objects.create_user("c@example.com", None, role=Role.CREATOR)
    source = make(folder, options.seconds)
    machines = [Machine(number, folder, environment) for number in range(2)]
    print(f"{options.seconds} s of 1280x720 in chunks of {options.chunk} s")
    own = {"folder": True, "process namespace": has_namespaces(), "user": has_users()}
    print("of each machine's own: " + ", ".join(name for name, is_own in own.items() if is_own))
    print("shared: " + (", ".join(name for name, is_own in own.items() if not is_own) or "nothing"))
    print(f"{'round':>6}{'one worker s':>14}{'two workers s':>15}{'ratio':>8}")
    ratios = []
    for number in range(1, options.rounds + 1):
        one = measure(source, creator, machines[:1], chosen)
        two = measure(source, creator, machines, chosen)
        ratios.append(two / one)
        print(f"{number:>6}{one:>14.1f}{two:>15.1f}{ratios[-1]:>8.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}, goal at most {GOAL}")


if __name__ == "__main__":
    main()
