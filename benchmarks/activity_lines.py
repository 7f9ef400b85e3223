"""The lines of the log that `activity.py` reads, and the filters that it tries."""

import itertools
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

BATCH = 5000
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"
)
YEAR_BEGINS = datetime(2025, 11, 1, tzinfo=UTC)
RARE, COMMON, NOBODY = (uuid.UUID(int=number) for number in (3000, 2000, 9999))
FILTERS: dict[str, list[object]] = {
    "actor": [RARE, COMMON, NOBODY],
    "ip": ["203.0.113.1", "203.0.113.2", "203.0.113.3"],  # the same three
    "action": ["api.request", "video.changed", "login.succeeded", "payout.sent"],
    "method": ["GET", "POST", "PATCH", "DELETE", "OPTIONS"],
    "status": [200, 404, 500, 599],
    "target_type": ["video", "user", "payout"],
    "target_id": ["17"],
    "from": ["2026-06-01"],
    "to": ["2026-02-01"],
    "ordering": ["at"],
}


def batches(rows: Iterable[Any], size: int = BATCH) -> Iterator[list[Any]]:
    rows = iter(rows)
    while some := list(itertools.islice(rows, size)):
        yield some


def make_lines(number: int) -> None:
    """Make as many audit entries as API requests, a year old at most.

    Of ten lines, one is of one actor and another one of one address. Ten lines of all are of others. The
    first tenth of the entries are requests, as before they had a table of their own.
    """
    from django.db import connection

    from audit import partitions
    from audit.models import ApiRequest, AuditEntry, Caller
    from audit.requests import first_number

    if connection.vendor == "postgresql":
        for month in partitions.months(YEAR_BEGINS, 12):
            partitions._make("default", month)
    for some in batches(range(number)):
        entries, requests, callers = [], [], {}
        for i in some:
            at, is_rare, kind = (
                YEAR_BEGINS + i * timedelta(days=365) / number,
                i % (number // 10) == 5,
                i % 2,
            )
            actor = RARE if is_rare else COMMON if i % 10 == 3 else uuid.UUID(int=i * 7919 % 1000)
            host = 1 if is_rare else 2 if i % 10 == 4 else 10 + i * 7919 % 200
            who: dict[str, Any] = {
                "actor_id": actor,
                "ip": f"203.0.113.{host}",
                "user_agent": AGENT,
            }
            entry = AuditEntry(
                id=uuid.UUID(int=partitions.first_id(at).int | 7 << 76 | 2 << 62 | i),
                at=at, **who, action=("video.changed", "login.succeeded")[kind],
                method=("PATCH", "POST")[kind], target_type=("video", "user")[kind],
                target_id="17" if i == 17 else str(actor), path=f"/api/v1/videos/{actor}",
                request_id=f"{i:032x}", position=i + 1, hash=f"{i:064x}",
            )  # fmt: skip
            if is_rare:
                entry.action, entry.method, entry.target_type = "payout.sent", "DELETE", "payout"
            elif i < number // 10:
                entry.action, entry.method, entry.status = "api.request", "GET", 200
            caller = Caller.of(at.date(), actor, who["ip"], AGENT)
            callers[caller.number] = caller
            method, status = (("POST", 200), ("GET", 404), ("GET", 200), ("GET", 200))[i % 4]
            request = ApiRequest(
                number=first_number(at), caller=caller, method="DELETE" if is_rare else method,
                status=500 if is_rare else status, path=entry.path, duration_ms=12,
                request_id=entry.request_id,
            )  # fmt: skip
            entries.append(entry)
            requests.append(request)
        AuditEntry.objects.bulk_create(entries)
        Caller.objects.bulk_create(callers.values(), ignore_conflicts=True)
        ApiRequest.objects.bulk_create(requests)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
