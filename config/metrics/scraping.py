"""The answer to `GET /metrics`, and who may ask for it."""

import hmac
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from config import bounded
from config.http import error_response
from config.metrics import Figures, all_figures, gauge, gauges, processes
from config.page_limit import without_page_limit

logger = logging.getLogger(__name__)
PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED_SECONDS = 1.0  # how old an answer may be that several scrapers share
GIVE_UP_SECONDS = 3.0  # for all parts together; without those that hang the rest is told
TABLES = "database"  # the part of all figures that are read from it
STATEMENT_MS = 2000
HEADERS = {"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE}
# A request with one of these was passed on by a proxy, for a client elsewhere.
OF_PROXIES = (
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "via",
)
Refusal = tuple[int, str, str]


def refusal(peer: str, headers: Mapping[str, str]) -> Refusal | None:
    """Return why a client may not scrape, as status, code and sentence; None if it may.

    It may on the loopback address, unless a proxy passed the request on, and everywhere with
    METRICS_TOKEN. The names of ``headers`` are in lower case. Without a token there is nothing at this
    address for others.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    if token and scheme.lower() == "bearer":
        if hmac.compare_digest(given.strip().encode(), token.encode()):
            return None
    elif _is_of_this_machine(peer, headers):
        return None
    if not token:
        return 404, "not_found", "There is nothing at this address."
    return 403, "permission_denied", "Send METRICS_TOKEN as `Authorization: Bearer …`."


def _is_of_this_machine(peer: str, headers: Mapping[str, str]) -> bool:
    """Return whether this machine asks and names itself, which no page of another site can do."""
    host = split_domain_port(headers.get("host", ""))[0].strip("[]")
    try:
        named = host == "localhost" or ipaddress.ip_address(host).is_loopback
        local = ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
    return named and local and not any(name in headers for name in OF_PROXIES)


@dataclass(slots=True, eq=False)
class Reading(Collector):
    """Figures that were read, and whether each part could be."""

    metrics: list[Metric] = field(default_factory=list)
    parts: dict[tuple[str, ...], float] = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics
        text = "1 if the figures of this part could be read, else 0."
        yield gauges("figures_read", text, ["part"], self.parts)


class Scrapes:
    """Makes the answer, at most once in SHARED_SECONDS and one at a time however many clients ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: Future[bytes] | None = None
        self._begun_at = 0.0
        self._begun: dict[str, Future[Reading]] = {}

    def asked(self) -> "Future[bytes]":
        """Return the future answer."""
        with self._lock:
            old = time.monotonic() - self._begun_at >= SHARED_SECONDS
            if self._latest is None or (self._latest.done() and old):
                self._begun_at = time.monotonic()
                self._latest = bounded.begin(self._answer)
            return self._latest

    def _answer(self) -> bytes:
        """Read all figures, those of the database together and each other one in a thread of its own."""
        wanted, begun_at = all_figures(), time.monotonic()
        tables = [each for each in wanted if each.needs_tables]
        others = [each for each in wanted if not each.needs_tables]
        self._begin(TABLES, lambda: _from_tables(tables))
        for each in others:
            self._begin(each.name, partial(_read, [each]))
        reading = Reading()
        stored = self._wait(TABLES, begun_at)
        took = time.monotonic() - begun_at
        text = "1 if the database answered this scrape, else 0."
        reading.metrics += [
            gauge("database_up", text, stored is not None),
            gauge(
                "scrape_database_seconds", "Seconds that this scrape waited for the database.", took
            ),
        ]
        parts = {TABLES: stored, **{one.name: self._wait(one.name, begun_at) for one in others}}
        for name, found in parts.items():
            reading.parts[(name,)] = float(found is not None)
            if found is not None:
                reading.metrics += found.metrics
                reading.parts |= found.parts
        figures = CollectorRegistry()
        figures.register(reading)
        return generate_latest(processes.registry()) + generate_latest(figures)

    def _begin(self, name: str, read: "Callable[[], Reading]") -> None:
        """Begin to read in a thread that may hang. What still hangs is not begun again."""
        begun = self._begun.get(name)
        if begun is None or begun.done():
            self._begun[name] = bounded.begin(read)

    def _wait(self, name: str, begun_at: float) -> Reading | None:
        """Return what was read, or None if it is away or hangs."""
        try:
            return self._begun[name].result(max(0.0, begun_at + GIVE_UP_SECONDS - time.monotonic()))
        except (TimeoutError, DatabaseError):
            return None
        except Exception:
            logger.exception("The figures of %s could not be read.", name)
            return None


def _from_tables(wanted: list[Figures]) -> Reading:
    """Read the figures without any way to write. Raises DatabaseError if the database is away."""
    connection.ensure_connection()
    with connection.cursor() as cursor:
        if (
            connection.vendor == "sqlite"
        ):  # its transactions would begin with the lock of the writer
            cursor.execute("PRAGMA query_only = ON")
            try:
                return _read(wanted)
            finally:
                cursor.execute("PRAGMA query_only = OFF")
        with transaction.atomic():
            cursor.execute(
                f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS:d}"
            )
            return _read(wanted, transaction.atomic)


def _read(
    wanted: Iterable[Figures], apart: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Reading:
    """Read figures, each ``apart`` from the others. One that fails is logged, the others are told."""
    reading = Reading()
    for each in wanted:
        try:
            with apart():
                reading.metrics += each.current()
        except Exception as error:
            if isinstance(error, DatabaseError) and not connection.is_usable():
                raise
            logger.exception("The figures of %s could not be read.", each.name)
            reading.parts[(each.name,)] = 0.0
        else:
            reading.parts[(each.name,)] = 1.0
    return reading


scrapes = Scrapes()


@without_page_limit
@csrf_exempt  # no cookie is read, so that any method but these is a 405
@require_safe
def view(request: HttpRequest) -> HttpResponse:
    """Answer a scrape under another server than ours, and in tests. `config.asgi` has the usual way."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if refused := refusal(request.META.get("REMOTE_ADDR", ""), headers):
        return error_response(*refused)
    return HttpResponse(scrapes.asked().result(), headers=HEADERS)
