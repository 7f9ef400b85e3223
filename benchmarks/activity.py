"""Measure how the log of API requests grows, and how long reading it takes.

    .venv/bin/python benchmarks/activity.py [--viewers 1000] [--lines 1000000]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/activity.py

The model of a day: each viewer is signed in with one device at one address, and watches four videos for
an hour each. That is 1,440 heartbeats, 4 stream tokens and redirects, a refresh every quarter of an
hour of watching and browsing, and 120 other requests: lists, videos, the account. A stranger sends 300
requests a minute, all day, each with another path and user agent, from any address of one network; the
second one does it from any network. All is shared by two processes.

Then GET /audit/ is asked for with each filter, at ``--lines`` audit entries and as many API requests.
Works in a new database like benchmarks/ledger.py, and prints the figures.
"""

# ruff: noqa: S101, S311 - nothing here is a secret, and a wrong figure shall stop the script

import argparse
import json
import random
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from ledger import database  # noqa: E402 - the path comes first

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36 {}"
)
DAY = datetime(2026, 10, 1, tzinfo=UTC)
BEAT = "/api/v1/stream/sessions/{}/heartbeat"
ROUTES = ("videos/", "videos/{}", "categories/", "auth/me", "payments/orders/", "stream/sessions/")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--hours", type=int, default=24, help="of the two floods")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parts = ["viewers", "stranger", "strangers", "reading"]
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=parts)
    options = parser.parse_args()
    random.seed(8)
    with tempfile.TemporaryDirectory(prefix="activity-") as folder, database(Path(folder)) as name:
        parts = {
            "viewers": lambda: day(viewers(options.viewers)),
            "stranger": lambda: day(stranger(options.hours, lambda: f"2001:db8::{some(2**16)}")),
            "strangers": lambda: day(stranger(options.hours, lambda: f"2001:db8:{some(2**16)}::1")),
            "reading": lambda: reading(options.lines),
        }
        for part in options.parts:
            print(name, part, json.dumps(parts[part](), indent=2), flush=True)
    return 0


def viewers(number: int):
    """Yield the calls of a day of viewers, as (seconds of the day, call)."""
    for index in range(number):
        actor = uuid.UUID(int=random.getrandbits(128))
        who = {
            "actor_id": actor,
            "ip": f"198.51.{index // 250}.{index % 250 + 1}",
            "user_agent": AGENT.format(index % 40),
        }
        for hour in random.sample(range(24), 4):
            session, video = uuid.uuid4(), uuid.uuid4()
            start = hour * 3600
            yield start, call(f"stream/{video}", "stream/*", **who)
            yield start, call("stream/play/***", "stream/play/*", status=302, **who)
            for second in range(0, 3600, 10):
                path = BEAT.format(session)
                beat = {"method": "POST", "status": 204, "is_frequent": True}
                yield start + second, call(path, BEAT.format("*"), **beat, **who)
            for second in range(0, 3600, 900):
                stranger_now = {**who, "actor_id": None, "method": "POST"}
                yield start + second, call("auth/refresh", "auth/refresh", **stranger_now)
        for _ in range(10):  # visits of twelve requests
            start = random.randrange(86_000)
            for step in range(12):
                route = random.choice(ROUTES)
                yield start + 3 * step, call(route.format(uuid.uuid4()), route.format("*"), **who)


def some(below: int) -> str:
    return f"{random.randrange(below):x}"


def stranger(hours: int, address):
    """Yield the calls of a flood, as `viewers` does."""
    for second in range(hours * 3600):
        for _ in range(5):
            path = f"{random.getrandbits(700):x}"
            agent = f"{random.getrandbits(800):x}"
            yield second, call(path, "/api/*", status=404, ip=address(), user_agent=agent)


def call(path: str, route: str, **changes):
    from audit.tally import Call

    fields = {
        "actor_id": None,
        "method": "GET",
        "status": 200,
        "duration_ms": 12,
        "request_id": uuid.uuid4().hex,
        **changes,
    }
    return Call(
        path=path if path.startswith("/") else f"/api/v1/{path}"[:200],
        route=route if route.startswith("/") else f"/api/v1/{route}",
        **{"is_frequent": False, **fields},
    )


def day(calls) -> dict:
    """Record the calls of a day in order, as two processes would, and return what they have cost."""
    from audit import buffer, requests
    from audit.models import ApiRequest, Caller
    from audit.tally import Tally

    ApiRequest.objects.all().delete()
    Caller.objects.all().delete()
    before = size()

    class Moment:
        now = 0

        def time_ns(self):
            self.now += 1000
            return self.now

    requests.time = moment = Moment()
    tallies, waiting, number, spent, stored = [Tally(), Tally()], [], 0, 0.0, 0.0
    for second, each in sorted(calls, key=lambda pair: pair[0]):
        now = (int(DAY.timestamp()) + second) * 10**9
        if now // (60 * 10**9) != moment.now // (60 * 10**9):  # the counts are stored every minute
            began = time.perf_counter()
            batches = [waiting, *(tally.changed() for tally in tallies)]
            for rows in batches:
                for first in range(0, len(rows), buffer.BATCH):
                    buffer._insert(rows[first : first + buffer.BATCH])
            waiting = []
            stored += time.perf_counter() - began
        moment.now = max(moment.now, now)
        began = time.perf_counter()
        row = random.choice(tallies).take(each)
        spent += time.perf_counter() - began
        number += 1
        if row is not None:
            waiting.append(row)
    for rows in (waiting, *(tally.changed() for tally in tallies)):
        for first in range(0, len(rows), buffer.BATCH):
            buffer._insert(rows[first : first + buffer.BATCH])
    requests.time = time
    counted = ApiRequest.objects.exclude(count=None)
    listed = ApiRequest.objects.filter(count=None).count()
    grown = size() - before
    assert listed + sum(counted.values_list("count", flat=True)) == number
    rows = ApiRequest.objects.count()
    return {
        "requests": number,
        "listed": listed,
        "counted_rows": counted.count(),
        "callers": Caller.objects.count(),
        "megabytes": round(grown / 1e6, 1),
        "bytes_a_row": round(grown / rows),
        "microseconds_a_request": round(spent / number * 1e6, 1),
        "seconds_of_writing": round(stored, 1),
    }


def size() -> int:
    """Return the bytes of the tables of API requests with their indexes."""
    from django.db import connection

    tables = ("audit_apirequest", "audit_caller")
    return sum(table_size(connection, table) for table in tables)


def table_size(connection, table: str) -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_total_relation_size(%s)", [table])
            return cursor.fetchone()[0]
        cursor.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN"
            " (SELECT name FROM sqlite_master WHERE tbl_name = %s)",
            [table],
        )
        return cursor.fetchone()[0]


def reading(lines: int) -> dict:
    """Return the milliseconds of GET /audit/ by query: the best of three, after a first one."""
    from django.conf import settings
    from django.db import connection
    from rest_framework.test import APIClient

    from accounts import tokens
    from accounts.models import User
    from accounts.roles import Role

    settings.AUDIT_READS = False
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 0)
    settings.SECURE_SSL_REDIRECT = False
    admin = User.objects.create_user("boss@example.com", "x" * 20, role=Role.ADMIN)
    people = make_lines(lines)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
    client = APIClient(SERVER_NAME="localhost")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(admin).access}")
    rare, common = people
    queries = {
        "first page": "",
        "page_size 100": "page_size=100",
        "actor, few lines": f"actor={rare}",
        "actor, a tenth": f"actor={common}",
        "nobody": f"actor={uuid.uuid4()}",
        "ip, few lines": "ip=203.0.113.1",
        "ip, nobody": "ip=203.0.113.99",
        "action=api.request": "action=api.request",
        "action, rare": "action=payout.sent",
        "status=200": "status=200",
        "status=500, ten lines": "status=500",
        "status=599, no line": "status=599",
        "method=POST": "method=POST",
        "method=DELETE, ten lines": "method=DELETE",
        "method=OPTIONS, no line": "method=OPTIONS",
        "target": "target_type=video&target_id=17",
        "target_id alone": "target_id=17",
        "a week": "from=2026-06-01&to=2026-06-08",
        "actor and status": f"actor={common}&status=500",
        "ip and method": "ip=203.0.113.1&method=DELETE",
        "oldest first": "ordering=at",
    }
    result = {
        "bytes_of_an_audit_entry": round(table_size(connection, "audit_auditentry") / lines),
    }
    for name, query in queries.items():
        times = []
        for _ in range(4):
            began = time.perf_counter()
            answer = client.get(f"/api/v1/audit/?{query}")
            times.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.content
        result[name] = round(min(times[1:]) * 1000, 1)
        if name == "first page":
            page = answer.json()
            times = []
            for _ in range(50):
                began = time.perf_counter()
                page = client.get(page["next"]).json()
                times.append(time.perf_counter() - began)
            result["50 next pages, the slowest"] = round(max(times) * 1000, 1)
    began = time.perf_counter()
    answer = client.get("/api/v1/audit/?format=csv")
    assert sum(1 for _ in answer.streaming_content) == 100_001
    result["CSV of 100,000 lines, seconds"] = round(time.perf_counter() - began, 1)
    return result


# The same rows in the SQL of both databases.
DIALECTS = {
    "sqlite": {
        "series": "(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i + 1 < {n})"
        " SELECT i FROM s)",
        "user": "printf('%032x', {k})",
        "uuid": "lower(hex(randomblob(16)))",
        "text": "lower(hex(randomblob(16)))",
        "moment": "strftime('%Y-%m-%d %H:%M:%f000', {t} / 1000000.0, 'unixepoch')",
        "day": "strftime('%Y-%m-%d', {t} / 1000000, 'unixepoch')",
        "ip": "{ip}",
    },
    "postgresql": {
        "series": "(SELECT generate_series(0::bigint, {n} - 1) AS i) AS s",
        "user": "lpad(to_hex({k}), 32, '0')::uuid",
        "uuid": "gen_random_uuid()",
        "text": "md5(random()::text)",
        "moment": "to_timestamp({t} / 1000000.0)",
        "day": "(to_timestamp({t} / 1000000) AT TIME ZONE 'UTC')::date",
        "ip": "({ip})::inet",
    },
}


def make_lines(lines: int) -> tuple[uuid.UUID, uuid.UUID]:
    """Make as many audit entries as API requests, over a year; return a rare and a common actor."""
    from django.db import connection

    sql = DIALECTS[connection.vendor]
    start = int(datetime(2025, 12, 1, tzinfo=UTC).timestamp()) * 1_000_000
    moment = f"({start} + i * {365 * 86_400 * 1_000_000 // lines})"
    few = f"i % {lines // 10} = 5"
    k = f"(CASE WHEN {few} THEN 3000 WHEN i % 10 = 3 THEN 2000 ELSE i * 7919 % 1000 END)"
    ip = f"CASE WHEN {few} THEN '203.0.113.1' ELSE '198.51.' || {k} / 250 || '.' || {k} % 250 END"
    parts = {
        "user": sql["user"].format(k=k),
        "at": sql["moment"].format(t=moment),
        "day": sql["day"].format(t=moment),
        "ip": sql["ip"].format(ip=ip),
        "agent": f"'{AGENT.format('')}' || {k} % 40",
        "caller": f"({k} * 1000 + i * 365 / {lines})",
        "number": f"({moment} * 2048)",
        "few": few,
        "uuid": sql["uuid"],
        "text": sql["text"],
        "rows": sql["series"].format(n=lines),
    }
    statements = (
        "DELETE FROM audit_apirequest",
        "DELETE FROM audit_caller",
        "INSERT INTO audit_caller (number, day, actor_id, ip, user_agent)"
        " SELECT {caller}, min({day}), {user}, {ip}, {agent} FROM {rows} GROUP BY 1, 3, 4, 5",
        "INSERT INTO audit_apirequest"
        " (number, caller_id, method, path, status, duration_ms, request_id)"
        " SELECT {number}, {caller}, CASE WHEN {few} THEN 'DELETE' WHEN i % 4 = 1 THEN 'POST'"
        " ELSE 'GET' END, '/api/v1/videos/' || {text}, CASE WHEN {few} THEN 500 WHEN i % 4 = 2 THEN 404"
        " ELSE 200 END, 12, {text} FROM {rows} ORDER BY 1",
        "INSERT INTO audit_auditentry (id, at, actor_id, action, method, path, target_type, target_id,"
        " ip, user_agent, request_id, data, position, hash)"
        " SELECT {uuid}, {at}, {user}, CASE WHEN {few} THEN 'payout.sent' ELSE 'video.changed' END,"
        " CASE WHEN {few} THEN 'DELETE' ELSE 'PATCH' END, '/api/v1/videos/' || {text}, 'video',"
        " CASE WHEN i = 17 THEN '17' ELSE {text} END, {ip}, {agent}, {text}, '{{}}', i + 1,"
        " {text} || {text} FROM {rows}",
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET statement_timeout = 0")
        for statement in statements:
            cursor.execute(statement.format(**parts))
    return uuid.UUID(int=3000), uuid.UUID(int=2000)


if __name__ == "__main__":
    sys.exit(main())
