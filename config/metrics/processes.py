"""The counters of the web processes. Every process counts for itself; a scrape adds them up.

With several processes each writes files in the folder that `config.counting` has made empty, and
prometheus_client reads all of them. A process that ended leaves its counts.
"""

import os
from collections import Counter as Count

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

from config.counting import FOLDER

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
NO_ROUTE = "none"  # no route matched, or the request was refused before one was looked for
MEDIA = "/media/*"

# Several processes have none, so a counter shows the same in both modes.
disable_created_metrics()  # type: ignore[no-untyped-call]
own = CollectorRegistry()
REQUESTS = Counter(
    "vod_http_requests",
    "Answered requests, by method, route and class of the status.",
    ["method", "route", "status"],
    registry=own,
)
SECONDS = Histogram(
    "vod_http_request_duration_seconds",
    "Seconds from the head of a request to its last byte, without files of videos.",
    ["method", "route"],
    buckets=BUCKETS,
    registry=own,
)
STREAMS = Counter(
    "vod_stream_authorisations",
    "Decisions about playback: at a step (token, session, media), granted or the code of a refusal.",
    ["step", "result"],
    registry=own,
)


def registry() -> CollectorRegistry:
    """Return what holds the counters of all web processes of this server."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return own
    together = CollectorRegistry()
    MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]  # it has no types
    return together


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    method = method if method in METHODS else "other"
    REQUESTS.labels(method, route, f"{status // 100}xx").inc()
    SECONDS.labels(method, route).observe(seconds)


def count_decision(step: str, result: str) -> None:
    STREAMS.labels(step, result).inc()


class MediaTally:
    """Requests for files of videos, counted in memory and written once a second.

    A counter of the library costs as much as a twentieth of sending a file that is in memory.
    """

    def __init__(self) -> None:
        self.sent = 0  # plain files from memory
        self._others: Count[tuple[str, int, str]] = Count()

    def count(self, method: str, status: int, result: str) -> None:
        self._others[method, status, result] += 1

    def add(self, status: int, result: str, number: int) -> None:
        """Count requests that another server answered; their methods are not known."""
        self._others["other", status, result] += number

    def flush(self) -> None:
        sent, self.sent = self.sent, 0
        others, self._others = self._others, Count()
        if sent:
            others["GET", 200, "granted"] += sent
        for (method, status, result), number in others.items():
            method = method if method in METHODS else "other"
            REQUESTS.labels(method, MEDIA, f"{status // 100}xx").inc(number)
            if result:
                STREAMS.labels("media", result).inc(number)
