"""Measure how the log of API requests grows, and how long reading the log takes.

    .venv/bin/python benchmarks/activity.py [--scale 1] [growth] [cost] [reading]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/activity.py

Measures three things:

* How much is stored of a day of 100 viewers, and of an hour of a stranger who sends 300 requests a
  minute, each with another path and user agent, from any address of one network or from any network.
  Two processes share the requests.
* How much CPU time the log costs a request, with the log and without it in turns (`cost`).
* GET /audit/ over 1,000,000 audit entries and 1,000,000 API requests of a year: each filter alone, each
  pair of filters, the next pages, and CSV. The aim is 300 ms, and 15 seconds for CSV.

Works in a new database like benchmarks/ledger.py. Prints the figures and, at full scale, writes
``benchmarks/results/activity-<database>-<date>.json``.
"""

# ruff: noqa: S311 - nothing here is a secret

import argparse
import itertools
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

from activity_cost import cost
from activity_lines import FILTERS, batches, make_lines
from api_stage import NO_LIMITS
from ledger import measured, timed

if TYPE_CHECKING:
    from audit.tally import Call

VIEWERS, FLOOD_SECONDS, LINES = 100, 3600, 1_000_000
DAY = datetime(2026, 10, 1, tzinfo=UTC)
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 {}"
)
ROUTES = ("videos/", "videos/*", "categories/", "auth/me", "payments/orders/", "stream/sessions/")
Timed = Iterator[tuple[int, "Call"]]  # second of the day, request


def main() -> int:
    options = arguments()
    parts: dict[str, Callable[[float], dict[str, Any]]] = {
        "growth": growth,
        "cost": cost,
        "reading": reading,
    }
    wanted = options.parts or parts
    os.environ.update(NO_LIMITS)
    return measured(
        "activity", options, lambda: {name: parts[name](options.scale) for name in wanted}
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1, help="0.05 makes 1/20 of the rows")
    parser.add_argument("parts", nargs="*", help="growth, cost, reading; all if none is named")
    return parser.parse_args()


def growth(scale: float) -> dict[str, Any]:
    """Measure what is stored of the traffic of viewers and of strangers."""
    random.seed(8)
    seconds = round(FLOOD_SECONDS * scale)
    return {
        "viewers": stored(viewers(max(1, round(VIEWERS * scale)))),
        "one_network": stored(flood(seconds, "2001:db8::{}")),
        "many_networks": stored(flood(seconds, "2001:db8:{}::1")),
    }


def viewers(number: int) -> Timed:
    """Yield the requests of a day of viewers, each with one device, who watch four hours each.

    In an hour of watching: a stream token, a redirect, a heartbeat each ten seconds, four refreshes.
    Beside that, ten visits of twelve requests.
    """
    for index in range(number):
        actor = uuid.UUID(int=random.getrandbits(128))
        device: dict[str, Any] = {
            "ip": f"198.51.100.{index % 250}",
            "user_agent": AGENT.format(index % 40),
        }
        for hour in random.sample(range(24), 4):
            start = hour * 3600
            yield start, call("stream/*", actor_id=actor, **device)
            yield start, call("stream/play/*", actor_id=actor, status=302, **device)
            beat: dict[str, Any] = {"method": "POST", "status": 204, "is_frequent": True}
            for second in range(start, start + 3600, 10):
                yield second, call("stream/sessions/*/heartbeat", actor_id=actor, **beat, **device)
            for second in range(start, start + 3600, 900):
                yield second, call("auth/refresh", method="POST", **device)
        for visit in random.sample(range(86_000), 10):
            for second in range(visit, visit + 36, 3):
                yield second, call(random.choice(ROUTES), actor_id=actor, **device)


def flood(seconds: int, address: str) -> Timed:
    """Yield the requests of a stranger, five a second."""
    for second in range(seconds):
        for _ in range(5):
            ip = address.format(f"{random.randrange(2**16):x}")
            agent, path = (f"{random.getrandbits(800):x}" for _ in range(2))
            yield second, call("*", path=path, ip=ip, user_agent=agent, status=404)


def call(route: str, *, path: str = "", **changes: Any) -> "Call":
    from audit.tally import Call

    fields = {"actor_id": None, "method": "GET", "status": 200, "duration_ms": 12, **changes}
    path = f"/api/v1/{path or route.replace('*', str(uuid.uuid4()))}"[:200]
    return Call(path=path, route=f"/api/v1/{route}", request_id=uuid.uuid4().hex, **fields)


def stored(calls: Timed) -> dict[str, Any]:
    """Record requests as two processes would, and return what they have cost."""
    from audit import buffer
    from audit.models import ApiRequest, Caller
    from audit.tally import Tally

    ApiRequest.objects.all().delete()
    Caller.objects.all().delete()
    before, number, spent = bytes_of("audit_apirequest", "audit_caller"), 0, 0.0
    tallies = [Tally(), Tally()]
    in_order = sorted(calls, key=lambda pair: pair[0])
    for minute, part in itertools.groupby(in_order, key=lambda pair: pair[0] // 60):
        clock = itertools.count((int(DAY.timestamp()) + minute * 60) * 10**9, 10**6)
        with mock.patch("audit.requests.time.time_ns", lambda clock=clock: next(clock)):
            began = time.perf_counter()
            taken = [random.choice(tallies).take(each) for _, each in part]
            spent += time.perf_counter() - began
        number += len(taken)
        for rows in ([row for row in taken if row], *(tally.changed() for tally in tallies)):
            for some in batches(rows, buffer.BATCH):
                buffer._insert(some)
    counts = ApiRequest.objects.exclude(count=None).values_list("count", flat=True)
    listed, grown = ApiRequest.objects.filter(count=None).count(), bytes_of("audit_apirequest")
    if listed + sum(count or 0 for count in counts) != number:
        raise SystemExit("The rows do not add up to the requests.")
    return {
        "requests": number,
        "listed": listed,
        "counted_rows": len(counts),
        "callers": Caller.objects.count(),
        "megabytes": round((bytes_of("audit_apirequest", "audit_caller") - before) / 1e6, 1),
        "bytes_a_row": round(grown / (listed + len(counts))),
        "microseconds_a_request": round(spent / number * 1e6, 1),
    }


def bytes_of(*tables: str) -> int:
    """Return the size of tables and partitions with their indexes."""
    from django.db import connection

    size = (
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
        " WHERE relkind = 'r' AND relname LIKE %s"
        if connection.vendor == "postgresql"
        else "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN"
        " (SELECT name FROM sqlite_master WHERE tbl_name LIKE %s)"
    )
    with connection.cursor() as cursor:
        return sum(int(cursor.execute(size, [f"{t}%"]).fetchone()[0]) for t in tables)


def reading(scale: float) -> dict[str, Any]:
    """Measure GET /audit/ by query, in milliseconds: the best of three."""
    from django.conf import settings
    from rest_framework.test import APIClient

    from accounts.models import User
    from accounts.roles import Role

    lines = round(LINES * scale)
    timed("making lines", lambda: make_lines(lines))
    settings.AUDIT_READS = False
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    client = APIClient()
    client.force_authenticate(User.objects.create_user("a@example.com", "x" * 20, role=Role.ADMIN))

    def milliseconds(url: str) -> tuple[float, Any]:
        began = time.perf_counter()
        answer = client.get(url)
        taken = time.perf_counter() - began
        if answer.status_code != 200:
            raise SystemExit(f"{url} failed: {answer.content!r}")
        return round(taken * 1000, 1), answer

    def best(query: str) -> float:
        return min(milliseconds(f"/api/v1/audit/?{query}")[0] for _ in range(3))

    terms = [(name, f"{name}={value}") for name, values in FILTERS.items() for value in values]
    pairs = [
        f"{one}&{other}"
        for (name, one), (second, other) in itertools.combinations(terms, 2)
        if name != second
    ]
    by_pair = sorted(((best(pair), pair) for pair in pairs), reverse=True)
    pages: list[float] = []
    page = client.get("/api/v1/audit/").json()
    for _ in range(50):
        taken, answer = milliseconds(page["next"])
        page = answer.json()
        pages.append(taken)
    began = time.perf_counter()
    table: Any = client.get("/api/v1/audit/?format=csv")
    csv_lines = sum(piece.count(b"\n") for piece in table.streaming_content)
    return {
        "lines_each": lines,
        "bytes_of_an_audit_entry": round(bytes_of("audit_auditentry") / lines),
        "first_page": best(""),
        "one_filter": {term: best(term) for _, term in terms},
        "pairs": len(pairs),
        "slowest_pairs": {pair: taken for taken, pair in by_pair[:10]},
        "slowest_of_50_next_pages": max(pages),
        "csv": {"lines": csv_lines, "seconds": round(time.perf_counter() - began, 1)},
    }


if __name__ == "__main__":
    sys.exit(main())
