"""What the log of API requests costs the requests: the part `cost` of `activity.py`."""

import io
import itertools
import statistics
import time
from typing import Any

from ledger import people

VIEWERS = 50
ROUNDS, REQUESTS = 40, 500  # rounds with and without the log, in turns


def cost(scale: float) -> dict[str, Any]:
    """Measure the CPU time of `GET /auth/me` with the log and without it, in turns in one process.

    The time is that of the process, so that it includes the thread that stores the log; what a round has
    listed is stored at its end. The aim is a difference of at most 5 %.
    """
    from django.conf import settings

    from accounts import tokens
    from audit import buffer
    from audit.models import ApiRequest

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    kept_for = settings.AUDIT_ACTIVITY_DAYS
    callers = itertools.cycle([tokens.issue(viewer).access for viewer in people(VIEWERS, "cost")])
    before = ApiRequest.objects.filter(count=None).count()
    spent: dict[str, list[float]] = {"with": [], "without": []}
    ask(callers, 50)
    for number in range(max(2, round(2 * ROUNDS * scale))):
        # The first of a pair is now the one and now the other.
        is_logged = number % 4 in (0, 3)
        settings.AUDIT_ACTIVITY_DAYS = kept_for if is_logged else 0
        began = time.process_time()
        ask(callers, REQUESTS)
        if is_logged:
            buffer.flush(counts=False)
        taken = time.process_time() - began
        spent["with" if is_logged else "without"].append(taken * 1e6 / REQUESTS)
    settings.AUDIT_ACTIVITY_DAYS = kept_for
    began = time.process_time()
    buffer.flush()
    counts = (time.process_time() - began) * 1e6 / (REQUESTS * len(spent["with"]))
    medians = {name: statistics.median(rounds) for name, rounds in spent.items()}
    pairs = zip(spent["with"], spent["without"], strict=False)
    return {
        "requests_each": REQUESTS * len(spent["with"]),
        "listed": ApiRequest.objects.filter(count=None).count() - before,
        "microseconds_with": round(medians["with"] + counts, 1),
        "microseconds_without": round(medians["without"], 1),
        "percent_more": round(100 * (statistics.median((a + counts) / b for a, b in pairs) - 1), 1),
    }


def ask(callers: Any, number: int) -> None:
    """Send requests to the service's WSGI application, as the bridge does."""
    from config.bridge import environ_of
    from config.wsgi import application

    started: list[str] = []
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
        answer = application(environ, lambda status, *_: started.append(status))
        b"".join(answer)
        answer.close()
    if {*started} != {"200 OK"}:
        raise SystemExit(f"/auth/me failed: {[*{*started}]}")
