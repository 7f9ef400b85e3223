"""Compare the API with a bare application of Django and REST framework, in one run.

    .venv/bin/python benchmarks/api.py [--short] [--videos 1000 100000] [--rows me detail]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/api.py

Each row is asked of the service and of the bare application (`benchmarks/reference`), which runs under
the service's own bridge, under uvicorn with a2wsgi, and under Granian. The servers take turns; wrk is
16 clients (Debian: apt-get install wrk). A ratio above 1 means that the service answers more requests a
second than the bare application. `statements` are those of one request of the service.

Works in a new database like benchmarks/ledger.py. Prints the figures and, at full scale, writes
``benchmarks/results/api-<database>-<date>.json``.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from api_stage import (
    NO_LIMITS,
    PASSWORD,
    SAMPLE,
    Request,
    Stage,
    granian,
    posted,
    start,
    uvicorn,
    warm_up,
)
from delivery_stage import Server
from ledger import measured, timed

API = "/api/v1"
BEAT = {"position_seconds": 10.0, "state": "playing", "watched": [[0.0, 10.0]]}
MINUTE = 60
WISHES_A_RUN = 3000  # purchases that one run may make


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the requests to the service, and those to the bare application.

    ``goal`` is the least ratio to the bare application under the service's own bridge. With ``logging``,
    the service is also measured without its activity log, and each run lasts a whole minute: the first
    requests of a minute are listed one by one, and the others are counted.
    """

    ours: Callable[[Stage], Iterable[Request]]
    bare: Callable[[Stage], Iterable[Request]] | None = None
    goal: float | None = None
    logging: bool = False


def get(path: str, *, signed_in: bool = False) -> Callable[[Stage], Iterable[Request]]:
    """Return a function that makes GET requests of one path; {} stands for a video's id."""

    def requests(stage: Stage) -> Iterable[Request]:
        step = max(1, len(stage.videos) // SAMPLE)
        videos = itertools.islice(itertools.cycle(stage.videos[::step]), SAMPLE)
        for number, video in enumerate(videos):
            token = stage.tokens[number % len(stage.tokens)] if signed_in else ""
            yield Request("GET", path.format(video), token)

    return requests


def free_video(stage: Stage) -> Iterable[Request]:
    for number, video in enumerate(stage.videos[::2][:SAMPLE]):
        token = stage.tokens[number % len(stage.tokens)]
        yield Request("GET", f"{API}/stream/{video}", token)


def words(path: str) -> Callable[[Stage], Iterable[Request]]:
    return lambda stage: [Request("GET", f"{path}?search=word{n}") for n in range(100, 500)]


def beats(stage: Stage) -> Iterable[Request]:
    for session, token in stage.sessions:
        yield posted(f"{API}/stream/sessions/{session}/heartbeat", token, **BEAT)


def bare_beats(stage: Stage) -> Iterable[Request]:
    for number, (_, token) in enumerate(stage.sessions, 1):
        yield posted(f"/rows/{number}", token, **BEAT)


def purchases(stage: Stage) -> Iterable[Request]:
    """Yield purchases that no run has made yet: a second one would be refused."""
    for token, video in itertools.islice(stage.wishes, WISHES_A_RUN):
        yield posted(f"{API}/payments/purchase/{video}", token, payment_method="pm_card_visa")


def bare_rows(stage: Stage) -> Iterable[Request]:
    return [posted("/rows/", token) for token in stage.tokens]


def logins(path: str) -> Callable[[Stage], Iterable[Request]]:
    return lambda stage: [
        posted(path, "", email=viewer.email, password=PASSWORD) for viewer in stage.viewers
    ]


def dashboard(stage: Stage) -> Iterable[Request]:
    return [Request("GET", f"{API}/analytics/creator", stage.creator_token)]


ME = get("/me", signed_in=True)
ROWS = {
    "me": Row(get(f"{API}/auth/me", signed_in=True), ME, 1.0),
    "stream token": Row(free_video, ME, 1.0),
    "detail": Row(get(f"{API}/videos/{{}}"), get("/videos/{}"), 1.0),
    "list of 20": Row(get(f"{API}/videos/"), get("/videos/"), 6.0),
    "list of 20, signed in": Row(
        get(f"{API}/videos/", signed_in=True), get("/videos/", signed_in=True), 6.0
    ),
    "list of 20, against a join": Row(get(f"{API}/videos/"), get("/joined/")),
    "search": Row(words(f"{API}/videos/"), words("/videos/")),
    "heartbeat": Row(beats, bare_beats, 0.7),
    "purchase": Row(purchases, bare_rows, 0.5),
    "dashboard": Row(dashboard),
    "login": Row(logins(f"{API}/auth/login"), logins("/login")),
    "activity log": Row(get(f"{API}/auth/me", signed_in=True), goal=0.95, logging=True),
}
OURS, SILENT, SAME = "ours", "ours, no activity log", "bare, our bridge"
AT_ONCE = "ours, {} at once"


def main() -> int:
    options = arguments()
    if not shutil.which("wrk"):
        print("Not installed: wrk. On Debian: apt-get install wrk")
        return 2
    os.environ.update(NO_LIMITS, ALLOW_HTTP="true")
    # A run takes longer than a token lasts.
    os.environ["ACCESS_TOKEN_EXPIRE_MINUTES"] = "1440"  # noqa: S105 - no password
    return measured("api", options, lambda: {"tables": tables(options)})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="one run of two seconds, no file")
    parser.add_argument("--videos", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16)
    about = "also measure the service with these numbers of quick requests at once in a process"
    parser.add_argument("--at-once", type=int, nargs="+", default=[], help=about)
    options = parser.parse_args()
    options.scale = 0 if options.short else 1  # `measured` writes a file for 1
    if options.short:
        options.runs, options.seconds, options.videos = 1, 2, options.videos[:1]
    return options


def tables(options: argparse.Namespace) -> dict[str, dict]:
    """Return the measurements by the number of videos, and print them."""
    answer = {}
    with tempfile.TemporaryDirectory(prefix="api-") as folder:
        stage = Stage(Path(folder))
        for videos in options.videos:
            timed(f"making {videos} videos", lambda count=videos: stage.grow(count))
            counted = {name: statements(ROWS[name], stage) for name in options.rows}
            with servers(options) as running:
                table = interleaved(stage, running, options)
            for name, row in table.items():
                row |= {"statements": counted[name], "goal": ROWS[name].goal, **ratios(row)}
            answer[f"{videos} videos"] = table
            report(videos, table)
    return answer


@contextlib.contextmanager
def servers(options: argparse.Namespace) -> Iterator[dict[str, Server]]:
    """Run the service, once more without its activity log, and the bare application three times."""
    workers, delivery = options.workers, "streaming.delivery.protocol:DeliveryProtocol"
    service = uvicorn("config.asgi:application", workers, delivery)
    programs = {
        OURS: start(service),
        SILENT: start(service, AUDIT_ACTIVITY_DAYS="0"),
        SAME: start(uvicorn("reference.servers:bridge", workers, "config.server:BoundedProtocol")),
        "bare, a2wsgi": start(uvicorn("reference.servers:a2wsgi", workers)),
        "bare, Granian": start(granian("reference.servers:wsgi", workers)),
    }
    for number in options.at_once:
        program = uvicorn("api_lanes:application", workers, delivery)
        programs[AT_ONCE.format(number)] = start(program, AT_ONCE=str(number))
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(program) for name, program in programs.items()}
        for server in running.values():
            warm_up(server)
        yield running


def interleaved(
    stage: Stage, servers: dict[str, Server], options: argparse.Namespace
) -> dict[str, dict]:
    """Return the medians of each row and server, over runs in which the servers take turns."""
    samples: dict[tuple[str, str], list[dict]] = {}
    for run in range(options.runs):
        for name in options.rows:
            for server in list(servers) if run % 2 else reversed(servers):
                requests = ROWS[name].ours if server.startswith(OURS) else ROWS[name].bare
                if requests is None or (server == SILENT and not ROWS[name].logging):
                    continue
                listing = stage.listing(f"{name} {server}", requests(stage))
                seconds = MINUTE if ROWS[name].logging and not options.short else options.seconds
                figures = load(stage, servers[server], listing, options, seconds)
                samples.setdefault((name, server), []).append(figures)
    return {
        name: {
            server: {key: round(statistics.median(f[key] for f in all_runs), 2) for key in RESULTS}
            | {"all_rates": [round(figures["per_second"], 1) for figures in all_runs]}
            for (row, server), all_runs in samples.items()
            if row == name
        }
        for name in options.rows
    }


RESULTS = ("per_second", "p50_ms", "p99_ms", "cpu_ms")


def load(
    stage: Stage, server: Server, listing: Path, options: argparse.Namespace, seconds: int
) -> dict[str, float]:
    """Return the figures of one run of wrk. A refused request ends the benchmark.

    A run in which no request was finished is repeated once, and lasts five times as long.
    """
    command = [
        "wrk", "-t1", f"-c{options.clients}", f"-d{seconds}s", "--timeout", "30s",
        "-s", str(stage.folder / "load.lua"), f"http://127.0.0.1:{server.port}", "--", str(listing),
    ]  # fmt: skip
    before = server.cpu_seconds()
    output = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 60, check=True
    ).stdout
    cpu = server.cpu_seconds() - before
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    counts = json.loads(line.removeprefix("RESULT "))
    if not counts["requests"] and seconds <= options.seconds:
        return load(stage, server, listing, options, seconds * 5)
    if counts["refused"] or counts["broken"] or not counts["requests"]:
        raise SystemExit(f"{listing.stem}: some requests were not answered: {counts}")
    return {
        "per_second": counts["requests"] / (counts["us"] / 1e6),
        "p50_ms": counts["p50"] / 1000,
        "p99_ms": counts["p99"] / 1000,
        "cpu_ms": cpu * 1000 / counts["requests"],
    }


def statements(row: Row, stage: Stage) -> int:
    """Return the statements of one request of the service, when the process has answered one before."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext, override_settings

    requests = list(itertools.islice(row.ours(stage), 2))
    first, second = requests[0], requests[-1]
    client = Client(SERVER_NAME="127.0.0.1")
    with override_settings(AUDIT_READS=False, AUDIT_ACTIVITY_DAYS=0):
        for request in (first, second):
            with CaptureQueriesContext(connection) as captured:
                answer = client.generic(
                    request.method, request.path, request.body, "application/json",
                    headers={"Authorization": f"Bearer {request.token}"} if request.token else {},
                )  # fmt: skip
            if answer.status_code >= 400:
                raise SystemExit(f"{request.path}: answered with {answer.status_code}")
    words = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
    return sum(not query["sql"].startswith(words) for query in captured)


def ratios(row: dict[str, dict]) -> dict[str, float]:
    """Return the service's requests a second over those of each bare server, pair by pair."""
    ours = row[OURS]["all_rates"]
    return {
        f"ratio to {name}": round(
            statistics.median(a / b for a, b in zip(ours, other["all_rates"], strict=True)), 3
        )
        for name, other in row.items()
        if name != OURS and isinstance(other, dict)
    }


def report(videos: int, table: dict[str, dict]) -> None:
    """Print one table."""
    print(f"\n{videos} videos, load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'':24}{'server':24}{'1/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'ratio':>8}")
    for name, row in table.items():
        print(f"{name}  ({row['statements']} statements, goal {row['goal'] or '-'})")
        for server, figures in row.items():
            if isinstance(figures, dict):
                ratio = row.get(f"ratio to {server}", "")
                cells = "".join(f"{figures[key]:>9}" for key in RESULTS)
                print(f"{'':24}{server:24}{cells}{ratio:>8}")


if __name__ == "__main__":
    sys.exit(main())
