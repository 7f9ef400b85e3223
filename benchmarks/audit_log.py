"""Measure how long the audit log takes with a million entries.

    .venv/bin/python benchmarks/audit_log.py [--scale 1] [--pairs 300]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/audit_log.py

Measures two things, each as a ratio to a reference in the same run:

* `verify_audit` over 1,000,000 sealed entries; the reference reads the same columns with a bare cursor
  and computes nothing. The aim is 100,000 entries a second.
* PATCH /videos/{id} with its audit entry; the reference is the same request without it. The two
  alternate, and the ratio is the one of their medians. The aim is at most 1.10.

Works in a new database that is deleted afterwards: SQLite, or one on the server of DATABASE_URL, whose
user must be allowed to create databases. Prints the figures and, at full scale, writes
``benchmarks/results/audit-<database>-<date>.json``.
"""

import argparse
import statistics
import sys
import time
from unittest import mock

from ledger import measured, people, timed, videos

BATCH = 5000


def main() -> int:
    options = arguments()
    return measured(
        "audit",
        options,
        lambda: {
            "write": write(options.pairs),
            "verify": verify(max(1, round(1_000_000 * options.scale))),
        },
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1, help="0.05 makes 1/20 of the entries")
    parser.add_argument("--pairs", type=int, default=300, help="pairs of requests")
    return parser.parse_args()


def write(pairs: int) -> dict:
    """Measure a request that changes a video, with and without its audit entry."""
    from django.conf import settings
    from rest_framework.test import APIClient

    from audit import services

    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    (creator,) = people(1, "creator")
    (video,) = videos([creator])
    client = APIClient()
    client.force_authenticate(creator)
    count = 0

    def request() -> tuple[float, float]:
        nonlocal count
        count += 1
        start, cpu = time.perf_counter(), time.thread_time()
        answer = client.patch(f"/api/v1/videos/{video.pk}", {"title": f"Title {count}"})
        taken = time.perf_counter() - start, time.thread_time() - cpu
        if answer.status_code != 200:
            raise SystemExit(f"The request failed: {answer.content!r}")
        return taken

    request()
    audited, bare = [], []
    for _ in range(pairs):
        audited.append(request())
        with mock.patch.object(services, "record"):
            bare.append(request())
    settings.AUDIT_FLUSH_SECONDS = 0  # ends the thread that writes the rows of requests
    time.sleep(1)
    medians = {
        f"{name}_{kind}_ms": statistics.median(times[place] for times in both) * 1000
        for name, both in (("audited", audited), ("bare", bare))
        for place, kind in enumerate(("wall", "cpu"))
    }
    return {
        "requests": count,
        **{name: round(value, 2) for name, value in medians.items()},
        "wall_ratio": round(medians["audited_wall_ms"] / medians["bare_wall_ms"], 3),
        "cpu_ratio": round(medians["audited_cpu_ms"] / medians["bare_cpu_ms"], 3),
    }


def verify(count: int) -> dict:
    """Measure the verification of the log against a bare read of its columns."""
    from audit import checkpoints, sealing, verification

    timed("making entries", lambda: make_entries(count))

    def seal_all() -> None:
        while sealing.seal():
            pass

    timed("sealing", seal_all)
    checkpoints.make()
    best = {"verify": (float("inf"), 0.0), "read": (float("inf"), 0.0)}
    for _ in range(3):
        for name, work in (("read", read), ("verify", verification.verify)):
            start, cpu = time.perf_counter(), time.process_time()
            work()
            taken = time.perf_counter() - start, time.process_time() - cpu
            best[name] = min(best[name], taken)
    report = verification.verify()
    if report.broken or report.missing_triggers or report.entries < count:
        raise SystemExit(f"The log is wrong: {report}")
    return {
        "entries": report.entries,
        "seconds": round(best["verify"][0], 2),
        "cpu_seconds": round(
            best["verify"][1], 2
        ),  # of this process, without the database's server
        "per_second": round(report.entries / best["verify"][0]),
        "per_cpu_second": round(report.entries / best["verify"][1]),
        "bare_read_seconds": round(best["read"][0], 2),
        "ratio": round(best["verify"][0] / best["read"][0], 2),
    }


def make_entries(count: int) -> None:
    """Write entries with the columns that an entry of a request has."""
    from audit.models import AuditEntry
    from config.ids import uuid7

    actor = uuid7()
    for start in range(0, count, BATCH):
        AuditEntry.objects.bulk_create(
            AuditEntry(
                actor_id=actor, action="video.changed", method="PATCH",
                path=f"/api/v1/videos/{actor}", target_type="video", target_id=str(actor),
                ip="192.0.2.7", user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0",
                request_id=str(actor), data={"changed": ["title"], "number": number},
            )
            for number in range(start, min(start + BATCH, count))
        )  # fmt: skip


def read() -> None:
    """Read all columns of all entries, a page at a time."""
    from django.db import connection

    from audit.chain import PAGE

    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT position, hash, id, at, actor_id, action, method, path, status, target_type,"
                " target_id, ip, user_agent, request_id, duration_ms, data FROM audit_auditentry"
                " WHERE position > %s AND position <= %s ORDER BY position",
                [last, last + PAGE],
            )
            if not (rows := cursor.fetchall()):
                return
            last = rows[-1][0]


if __name__ == "__main__":
    sys.exit(main())
