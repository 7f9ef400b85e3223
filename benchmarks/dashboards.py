"""Measure the dashboards: time and queries of each page, and what a longer history costs.

    .venv/bin/python benchmarks/dashboards.py [--views 1000000] [--recent 100000] [--repeat 7]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/dashboards.py --views 10000000

First there are ``--recent`` views, all in the latest 90 days, and each page is measured over the latest
30 days, with the comparison. Then older views are added until there are ``--views``, and the same pages
are measured again: they show the same views, so that ``ratio`` is what the history costs. Last, the
pages are measured over two years in several time zones. Each time all finished days and months are in
the roll-ups, as on a running service: ``seconds`` has how long ``--workers`` processes needed for that.

``ms`` is the median of the whole request, ``cpu_ms`` that of this process's processor (without the
database's, where it is another process), ``queries`` the statements of the page, and ``report_queries``
those of its report alone. `analytics/tests/test_reports.py` holds the bound of the latter.

On PostgreSQL the database makes the events itself (`benchmarks/histories.py`). A million views need
about 2 GB of disk in the temporary folder (TMPDIR).

Works in a new database that is deleted afterwards: SQLite, or one on the server of DATABASE_URL. Prints
the figures, and writes ``benchmarks/results/dashboards-<database>-<date>.json`` from a million views on.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ledger import database, timed  # noqa: E402 - beside this file

RECENT_DAYS, RANGE_DAYS, ALL_DAYS = 90, 30, 730
ZONES = ("Europe/Berlin", "UTC", "Asia/Kolkata", "America/New_York")
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
    from analytics.rollups.models import Rollup, RollupDay, RollupMonth
    from config.management.progress import progress

    dice = random.Random(1)  # noqa: S311 - every run makes the same events
    videos = seeding.invent_videos("bench", options.creators, None, dice)
    middle, begin = now - timedelta(days=RECENT_DAYS), now - timedelta(days=ALL_DAYS)
    took = {}

    def invent(views: int, begin: datetime, end: datetime) -> None:
        if connection.vendor == "postgresql":
            with progress("Rows and indexes") as show:
                histories.make(views, len(videos), begin, end, show)
        else:
            with progress("Views") as show:
                seeding.invent_views(views, videos, begin, end, dice, show)
        RollupDay.objects.update(folded_at=None, claimed_at=None, in_month=False)
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

    def pages(start: datetime, zone: str, repeat: int) -> dict:
        return measure(videos[0], start, now, zone, repeat)

    month = now - timedelta(days=RANGE_DAYS)
    prepared("recent views", options.recent, middle, now)
    short = pages(month, ZONES[0], options.repeat)
    prepared("older views", options.views - options.recent, begin, middle)
    again = pages(month, ZONES[0], options.repeat)
    return {
        "seconds": took,
        "bytes": size(),
        "rollups": {"days": Rollup.objects.count(), "months": RollupMonth.objects.count()},
        f"{RANGE_DAYS} days of {options.recent:,} views": short,
        f"{RANGE_DAYS} days of {options.views:,} views": again,
        "ratio": {
            unit: {name: round(again[name][unit] / short[name][unit], 3) for name in short}
            for unit in ("ms", "cpu_ms")
        },
        **{
            f"{ALL_DAYS} days of {options.views:,} views, {zone}": pages(begin, zone, 3)
            for zone in ZONES
        },
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


def size() -> int:
    """Return the size of the database in bytes, with its indexes."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        else:
            cursor.execute("SELECT pg_database_size(current_database())")
        return cursor.fetchone()[0]


@contextlib.contextmanager
def sent() -> Iterator[list[str]]:
    """Yield a list to which each statement is added that is sent to the database meanwhile."""
    from django.db import connection

    statements: list[str] = []

    def note(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield statements


def measure(video, start: datetime, end: datetime, zone: str, repeat: int) -> dict:
    """Return the median times in milliseconds and the numbers of queries of each page."""
    from zoneinfo import ZoneInfo

    from django.test import Client, override_settings

    from accounts.models import User
    from accounts.roles import Role
    from analytics import reports
    from analytics.scope import Scope

    scope = Scope(start, end, "day", ZoneInfo(zone))
    of_video = Scope(start, end, "day", ZoneInfo(zone), video_id=video.pk)
    admin = User.objects.filter(role__name=Role.ADMIN)[0]
    of = {
        "platform": ("platform", lambda: reports.platform_report(scope, compares=True)),
        "creator": (
            f"creator?creator={video.creator_id}",
            lambda: reports.creator_report(scope, video.creator_id, compares=True),
        ),
        "video": (
            f"videos/{video.pk}",
            lambda: reports.video_report(of_video, video, compares=True),
        ),
    }
    found = {}
    with override_settings(RATE_LIMITS=dict.fromkeys(("auth", "stream", "default"), 0)):
        client = Client(SERVER_NAME="127.0.0.1")
        client.force_login(admin)
        for name, (address, work) in of.items():
            dates = {"from": f"{start:%F}", "through": f"{end:%F}", "tz": zone}
            query = "&".join(f"{key}={value}" for key, value in dates.items())
            url = f"/numbers/{address}{'&' if '?' in address else '?'}{query}"

            def get(url: str = url) -> None:
                answer = client.get(url, secure=True)
                if answer.status_code != 200:
                    raise SystemExit(f"{url} answered {answer.status_code}.")

            with sent() as captured:
                report = work()
            get()
            with sent() as of_page:
                get()
            times, cpu = [], []
            for _ in range(repeat):
                begun, used = time.perf_counter(), time.thread_time()
                get()
                times.append((time.perf_counter() - begun) * 1000)
                cpu.append((time.thread_time() - used) * 1000)
            found[name] = {
                "ms": round(statistics.median(times), 1),
                "cpu_ms": round(statistics.median(cpu), 1),
                "queries": len(of_page),
                "report_queries": len(captured),
                "views": report.totals.views,
            }
    return found


if __name__ == "__main__":
    sys.exit(main())
