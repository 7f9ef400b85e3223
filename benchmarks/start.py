"""Measure how long `make run` takes until the service is ready, on an installed virtual environment.

    .venv/bin/python benchmarks/start.py [--runs 3] [--imports 15]

Starts the service in a new data folder, and once more in the same one. Prints the seconds from the
command to the first 200 of GET /health/ready, the CPU seconds of all its processes until then, and its
parts by the lines that the start prints. The aim is 8 s for either. With ``--imports``, also prints the
modules that take longest to import, by themselves.
"""

import argparse
import contextlib
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

from delivery_stage import free_port

ROOT = Path(__file__).resolve().parent.parent
GOAL = 8.0
# What the start prints, and the part that begins with it.
LINES = {
    "Migrating": "migrating",
    "Seeding": "seeding and checks",
    "Starting the web server": "web server and worker",
}
FIRST = "imports and settings"
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    options = arguments()
    runs: dict[str, list[dict[str, float]]] = {"new data folder": [], "existing data folder": []}
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="start-") as folder:
            for started in runs.values():
                started.append(start(Path(folder)))
    for title, started in runs.items():
        print(f"\n{title}, load of the machine {os.getloadavg()[0]:.1f}")
        for part in dict.fromkeys(name for run in started for name in run):
            values = [run[part] for run in started if part in run]
            print(f"  {part:32}{statistics.median(values):6.2f} s")
        worst = max(run["until ready"] for run in started)
        print(f"  {'slowest of ' + str(len(started)):32}{worst:6.2f} s  (goal {GOAL:g} s)")
    if options.imports:
        imports(options.imports)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--imports", type=int, default=0, help="how many of the slowest to print")
    return parser.parse_args()


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DEFAULT_ADMIN_PASSWORD": secrets.token_urlsafe(16),
    }


def start(folder: Path) -> dict[str, float]:
    """Start the service, stop it when it is ready, and return the seconds of its parts."""
    port = free_port()
    command = [sys.executable, "-m", "config.bootstrap"]
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(folder) | {"PORT": str(port)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    marks = [(FIRST, began)]
    output: list[str] = []

    def read() -> None:
        for line in process.stdout or ():
            output.append(line)
            marks.extend((part, time.monotonic()) for text, part in LINES.items() if text in line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > began + 300:
                raise SystemExit("The service did not get ready:\n" + "".join(output))
            time.sleep(0.02)
        ready = time.monotonic()
        spent = cpu_seconds(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        reader.join(10)
    parts: dict[str, float] = {}
    ends = [*(at for _, at in marks[1:]), ready]
    for (name, at), end in zip(marks, ends, strict=True):
        parts[name] = parts.get(name, 0) + max(0.0, min(end, ready) - at)
    if len(marks) == 2:  # nothing was migrated: the lines between were not printed
        parts = {"imports, settings and checks": parts.pop(FIRST), **parts}
    return {**parts, "until ready": ready - began, "CPU of all processes": spent}


def is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def cpu_seconds(session: int) -> float:
    """Return the CPU seconds of the processes of a session, with their children that have ended."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def imports(number: int) -> None:
    """Print the modules whose own code takes longest when Django is set up."""
    program = "from config import wsgi"
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", program], cwd=ROOT,
            env=environment(Path(folder)), capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)", result.stderr)
    total = sum(int(own) for own, _, _ in found)
    print(f"\n{len(found)} modules, {total / 1e6:.2f} s")
    for own, whole, name in sorted(found, key=lambda each: -int(each[0]))[:number]:
        print(f"  {name:48}{int(own) / 1000:8.1f} ms  with its imports {int(whole) / 1000:8.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
