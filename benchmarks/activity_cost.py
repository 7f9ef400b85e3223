"""What the log of API requests costs the requests: the part `cost` of `activity.py`."""

import io
import itertools
import statistics
import time
from typing import Any
from unittest import mock

from ledger import people

VIEWERS = 50
ROUNDS, REQUESTS = 40, 500  # rounds of each kind, in turns
MINUTE = 60e6  # microseconds
WITHOUT, COUNTED, LISTED = "without", "counted", "listed"


def cost(scale: float) -> dict[str, Any]:
    """Measure the CPU time of `GET /auth/me` with the log and without it, in turns in one process.

    The time is that of the process, so that it includes the thread that stores the log; what a round has
    listed is stored at its end. The first requests of a minute are listed one by one, and the others are
    counted (`audit.tally.LIMITS`), so that these two are measured apart. ``percent_more`` is for a
    process that does nothing but answer such requests, for a minute; the aim is at most 5.
    """
    from django.conf import settings

    from accounts import tokens
    from audit import buffer, tally
    from audit.models import ApiRequest

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    kept_for, limits = settings.AUDIT_ACTIVITY_DAYS, dict(tally.LIMITS)
    callers = itertools.cycle([tokens.issue(viewer).access for viewer in people(VIEWERS, "cost")])
    nothing, everything = (dict.fromkeys(limits, tally.Limit(n, n)) for n in (0, 10**9))
    spent: dict[str, list[float]] = {WITHOUT: [], COUNTED: [], LISTED: []}
    ask(callers, 50)
    for number in range(max(1, round(ROUNDS * scale))):
        for kind in spent if number % 2 else reversed(spent):
            settings.AUDIT_ACTIVITY_DAYS = 0 if kind == WITHOUT else kept_for
            with mock.patch.object(tally, "LIMITS", everything if kind == LISTED else nothing):
                began = time.process_time()
                ask(callers, REQUESTS)
                if kind == LISTED:
                    buffer.flush(counts=False)
                spent[kind].append((time.process_time() - began) * 1e6 / REQUESTS)
    rounds = len(spent[WITHOUT])
    buffer.flush()
    kept = ApiRequest.objects.filter(count=None).count()
    if kept < rounds * REQUESTS:
        raise SystemExit(f"Only {kept} of {rounds * REQUESTS} requests were listed.")
    pairs = {
        kind: statistics.median(a - b for a, b in zip(spent[kind], spent[WITHOUT], strict=True))
        for kind in (COUNTED, LISTED)
    }
    bare = statistics.median(spent[WITHOUT])
    in_a_minute = MINUTE / (bare + pairs[COUNTED])
    listed = min(in_a_minute, limits[True, False].total)
    more = (listed * pairs[LISTED] + (in_a_minute - listed) * pairs[COUNTED]) / in_a_minute
    return {
        "requests_of_each_kind": rounds * REQUESTS,
        "microseconds_without": round(bare, 1),
        "microseconds_more_if_counted": round(pairs[COUNTED], 1),
        "microseconds_more_if_listed": round(pairs[LISTED], 1),
        "percent_more_if_counted": round(100 * pairs[COUNTED] / bare, 1),
        "percent_more_if_listed": round(100 * pairs[LISTED] / bare, 1),
        "requests_in_a_minute": round(in_a_minute),
        "percent_more": round(100 * more / bare, 1),
    }


def ask(callers: Any, number: int) -> None:
    """Send requests to the service's WSGI application, as the bridge does."""
    from config.bridge import environ_of
    from config.wsgi import application

    started: list[str] = []

    def note(status: str, headers: object, error: object = None, /) -> Any:
        started.append(status)

    for token in itertools.islice(callers, number):
        headers = {
            b"host": b"testserver",
            b"authorization": f"Bearer {token}".encode(),
            b"user-agent": b"Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
        }
        environ = environ_of(
            {
                "method": "GET",
                "path": "/api/v1/auth/me",
                "query_string": b"",
                "scheme": "http",
                "http_version": "1.1",
                "client": ("127.0.0.1", 1),
                "headers": [*headers.items()],
            }
        )
        environ["wsgi.input"] = io.BytesIO()
        answer: Any = application(environ, note)
        b"".join(answer)
        answer.close()
    if {*started} != {"200 OK"}:
        raise SystemExit(f"/auth/me failed: {[*{*started}]}")
