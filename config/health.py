"""Liveness and readiness checks. They reveal no detail that would help an attacker.

The ASGI application answers both on its event loop (`config.asgi`), so that they cost no thread. The
views are for a server of another kind, and for tests.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config import bounded, database
from config.page_limit import without_page_limit
from config.signals import health_checked

Result = TypeVar("Result")
PROBE_SECONDS = 2.0  # for all parts together; a part that has not answered by then is unavailable
logger = logging.getLogger(__name__)
HEADERS = {"Cache-Control": "no-store"}
_PROBE = "health"


class Part(NamedTuple):
    """The state of a part, "ok" or a few words; and for a person, why it is not ok."""

    name: str
    state: str = "ok"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The state of the service and of each of its parts, with reasons for those that are not ok."""

    status: str = "unavailable"
    parts: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        return self.status != "unavailable"

    @property
    def http_status(self) -> int:
        return 200 if self.is_ready else 503

    @property
    def headers(self) -> dict[str, str]:
        return HEADERS if self.is_ready else {**HEADERS, "Retry-After": "5"}

    @property
    def body(self) -> dict[str, object]:
        reasons = {"reasons": self.reasons} if self.reasons else {}
        return {"status": self.status, "parts": self.parts, **reasons}


@without_page_limit
@csrf_exempt  # no cookie is read, so that any method but these is a 405
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process runs. The database is not asked."""
    return JsonResponse({"status": "ok"}, headers=HEADERS)


@without_page_limit
@csrf_exempt
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer with the state of each part: 200 if the service can work, else 503."""
    state = result_of(readiness.asked())
    return JsonResponse(state.body, status=state.http_status, headers=state.headers)


def result_of(asked: "Future[State]") -> State:
    """Return the state that was asked for. Never raises: without a state, nothing is available."""
    error = asked.exception()
    return State() if error else asked.result()


class Readiness:
    """The state of the parts, asked for at most once in READY_SECONDS however many clients ask.

    Each part is asked in a thread of its own. A part that hangs is not asked again until its thread
    has ended, so that at most one thread hangs for each part.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: Future[State] | None = None
        self._begun_at = 0.0
        self._hanging: dict[str, Future[object]] = {}

    def asked(self) -> "Future[State]":
        """Return the future state: the latest one, or that of a new check."""
        with self._lock:
            age = time.monotonic() - self._begun_at
            latest = self._latest
            if latest is None or (latest.done() and age >= settings.READY_SECONDS):
                self._begun_at = time.monotonic()
                self._latest = latest = bounded.begin(self._check)
            return latest

    def _check(self) -> State:
        """Ask all parts.

        Parts reported by apps (``config.signals.health_checked``) are informational. If one of them is
        not "ok", such as the books after a failed check or the workers, the status is ``degraded`` and
        the service stays ready: to take a web server away would stop all payments and repair nothing.
        """
        give_up_at = time.monotonic() + PROBE_SECONDS
        begun = {name: self._begin(name, ask) for name, ask in REQUIRED.items()}
        required = {
            name: self._wait(name, asked, give_up_at, "unavailable")
            for name, asked in begun.items()
        }
        works = all(state == "ok" for state in required.values())
        reported: list[Part] = []
        if required["database"] == "ok":
            hanging = [Part("reported", "unavailable", "A part of the service hangs.")]
            asked = self._begin("reported", reported_parts)
            reported = self._wait("reported", asked, give_up_at, hanging)
        if not works:
            status = "unavailable"
        else:
            status = "ok" if all(part.state == "ok" for part in reported) else "degraded"
        found = [*(_required(name, state) for name, state in required.items()), *reported]
        return State(
            status,
            {part.name: part.state for part in found},
            {part.name: part.reason for part in found if part.reason},
        )

    def _begin(self, name: str, ask: Callable[[], Result]) -> "Future[Result] | None":
        """Ask a part, or return None if an earlier question still hangs."""
        hanging = self._hanging.get(name)
        return bounded.begin(ask) if hanging is None or hanging.done() else None

    def _wait(
        self, name: str, asked: "Future[Result] | None", give_up_at: float, otherwise: Result
    ) -> Result:
        if asked is None:
            return otherwise
        try:
            return asked.result(max(0.0, give_up_at - time.monotonic()))
        except TimeoutError:
            self._hanging[name] = asked  # type: ignore[assignment]  # only whether it is done counts
            return otherwise
        except Exception:  # noqa: BLE001 - each back end raises errors of its own
            return otherwise


def _required(name: str, state: str) -> Part:
    if state == "ok":
        return Part(name)
    reasons = {
        "unavailable": f"The {name} does not answer.",
        "migrations pending": "The database does not have the tables of this version yet.",
        "read-only": "The database is read-only, as a standby is.",
    }
    return Part(name, state, reasons[state])


def _database() -> str:
    """Return "ok", "migrations pending", "read-only" or "unavailable"."""
    try:
        if database.pending_migrations():
            return "migrations pending"
        return "read-only" if database.is_read_only() else "ok"
    except DatabaseError:
        return "unavailable"


def _cache() -> str:
    """Return "ok" if a value that is stored can be read back, else "unavailable"."""
    cache.set(_PROBE, 1, 10)
    return "ok" if cache.get(_PROBE) == 1 else "unavailable"


def _clock() -> list[Part]:
    """Return a part if the clock of this machine is not that of the database; it is logged, too.

    The server stays ready: if the database's clock is the wrong one, all servers differ from it.
    """
    difference = database.clock_difference()
    if abs(difference) <= settings.CLOCKS_DIFFER_BY.total_seconds():
        return []
    direction = "behind" if difference > 0 else "ahead of"
    reason = (
        f"This machine's clock is {abs(difference):.0f} seconds {direction} the database's: what one"
        " server gives, such as tokens, another refuses. Let NTP set both clocks."
    )
    logger.warning("This machine's clock is not the database's (/health/ready): let NTP set both.")
    return [Part("clock", "differs", reason)]


def reported_parts() -> list[Part]:
    """Return the parts that this app and others report. One that cannot be asked is left out."""
    answers = (answer for _, answer in health_checked.send_robust(sender=None))
    known = (answer for answer in answers if answer and not isinstance(answer, Exception))
    own: list[Part] = []
    with suppress(DatabaseError):
        own = _clock()
    return own + [part for answer in known for part in answer]


REQUIRED = {"database": _database, "cache": _cache}
readiness = Readiness()
