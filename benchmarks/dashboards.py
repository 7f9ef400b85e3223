"""Measure the dashboards: time and queries, and what a longer history costs.

    .venv/bin/python benchmarks/dashboards.py [--views 1000000] [--recent 100000] [--repeat 7]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/dashboards.py --views 10000000

First there are ``--recent`` views, all in the latest 90 days, and each report is measured over the
latest 30 days. Then older views are added until there are ``--views``, and the same reports are measured
again: they show the same views, so that ``ratio`` is what the history costs. Last, the reports are
measured over two years. Each time all finished days are in the roll-ups, as on a running service:
``seconds`` has how long ``--workers`` processes needed to add them up.

On PostgreSQL the database makes the events itself (`benchmarks/histories.py`).

Works in a new database that is deleted afterwards: SQLite, or one on the server of DATABASE_URL. Prints
the figures, and writes ``benchmarks/results/dashboards-<database>-<date>.json`` from a million views on.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ledger import database, timed  # noqa: E402 - beside this file

RECENT_DAYS, RANGE_DAYS, ALL_DAYS = 90, 30, 730
WRITTEN_FROM = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--views", type=int, default=1_000_000)
    parser.add_argument("--recent", type=int, default=100_000)
    parser.add_argument("--creators", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    now = datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory(prefix="dashboards-") as folder,
        database(Path(folder)) as vendor,
    ):
        result = {
            "date": now.isoformat(timespec="seconds"),
            "machine": {
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "python": platform.python_version(),
                "database": vendor,
            },
            "options": vars(options),
            "figures": figures(options, now.replace(microsecond=0)),
        }
    print(json.dumps(result, indent=2))
    if options.views >= WRITTEN_FROM:
        target = ROOT / "benchmarks" / "results" / f"dashboards-{vendor}-{now:%Y-%m-%d}.json"
        target.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written: {target.relative_to(ROOT)}")
    return 0


def figures(options: argparse.Namespace, now: datetime) -> dict:
    """Make the events, and return the measured figures."""
    import histories
    from django.db import connection

    from analytics import seeding
    from analytics.rollups.models import Rollup, RollupDay

    dice = random.Random(1)  # noqa: S311 - every run makes the same events
    videos = seeding.invent_videos("bench", options.creators, None, dice)
    middle, begin = now - timedelta(days=RECENT_DAYS), now - timedelta(days=ALL_DAYS)
    took = {}

    def invent(views: int, begin: datetime, end: datetime) -> None:
        if connection.vendor == "postgresql":
            histories.make(views, len(videos), begin, end)
        else:
            seeding.invent_views(views, videos, begin, end, dice, lambda done, total: None)
        RollupDay.objects.update(folded_at=None, claimed_at=None)
        analyze()

    def prepared(name: str, views: int, begin: datetime, end: datetime) -> None:
        for part, work in (
            ("insert", lambda: invent(views, begin, end)),
            ("fold", lambda: fold(options.workers)),
        ):
            begun = time.perf_counter()
            timed(f"{part} {name}", work)
            took[f"{part} {name}"] = round(time.perf_counter() - begun, 1)
        analyze()

    prepared("recent views", options.recent, middle, now)
    short = measure(videos[0], now - timedelta(days=RANGE_DAYS), now, options.repeat)
    prepared("older views", options.views - options.recent, begin, middle)
    again = measure(videos[0], now - timedelta(days=RANGE_DAYS), now, options.repeat)
    return {
        "seconds": took,
        "rollups": Rollup.objects.count(),
        f"{RANGE_DAYS} days of {options.recent:,} views": short,
        f"{RANGE_DAYS} days of {options.views:,} views": again,
        "ratio": {name: round(again[name]["ms"] / short[name]["ms"], 2) for name in short},
        f"{ALL_DAYS} days of {options.views:,} views": measure(videos[0], begin, now, 3),
    }


def fold(workers: int) -> None:
    """Add all finished days up in several processes; in one on SQLite, which has one writer."""
    from django.db import connection, connections

    from analytics.rollups import folding

    folding.SECONDS_OF_ROUND = 3600.0
    if connection.vendor == "sqlite":
        workers = 1
    folding.prepare()
    connections.close_all()
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                folding.in_worker()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SystemExit("A process that added days up has failed.")


def analyze() -> None:
    """Let the database look at its new rows, as PostgreSQL does by itself after a while."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE")


def measure(video, start: datetime, end: datetime, repeat: int) -> dict:
    """Return the median time in milliseconds and the number of queries of each report."""
    from zoneinfo import ZoneInfo

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from analytics import reports
    from analytics.scope import Scope

    scope = Scope(start, end, "day", ZoneInfo("Europe/Berlin"))
    of_video = Scope(start, end, "day", ZoneInfo("Europe/Berlin"), video_id=video.pk)
    works = {
        "platform": lambda: reports.platform_report(scope),
        "creator": lambda: reports.creator_report(scope, video.creator_id),
        "video": lambda: reports.video_report(of_video, video),
    }
    found = {}
    for name, work in works.items():
        with CaptureQueriesContext(connection) as captured:
            report = work()
        times = []
        for _ in range(repeat):
            begun = time.perf_counter()
            work()
            times.append((time.perf_counter() - begun) * 1000)
        found[name] = {
            "ms": round(statistics.median(times), 1),
            "queries": len(captured),
            "views": report.totals.views,
        }
    return found


if __name__ == "__main__":
    sys.exit(main())
