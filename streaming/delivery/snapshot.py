"""Which sessions have ended, known to this process without asking the database on each request.

One daemon thread a process asks twice a second, whatever the load, and writes the signs of life
that the delivery saw back in bulk. The delivery only ever looks into memory.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 0.5
STALE_SECONDS = 5.0
FLUSH_SECONDS = 30.0
# An end is stamped before its transaction commits, by any host's clock: each look reaches back over
# the longest wait for a lock, and a full load now and then catches what was later still.
OVERLAP = timedelta(seconds=25)
FULL_LOAD_SECONDS = 300.0
# No grant lives longer: what ended before that has expired, and no index needs to be read further.
LONGEST_GRANT = timedelta(hours=72)

Loader = Callable[[datetime, datetime], Iterable[UUID]]
Flusher = Callable[[list[UUID], datetime], None]


class Snapshot:
    """The ended sessions. Session ids are the 16 bytes of their UUID, as the grant carries them.

    ``load(since, now)`` yields the sessions that ended after ``since`` and have not expired at
    ``now``. ``flush(ids, now)`` stores signs of life. ``recover()`` runs
    after either failed. All three are called from the thread only, and may raise anything.
    """

    def __init__(
        self,
        load: Loader,
        flush: Flusher,
        recover: Callable[[], None] = lambda: None,
        *,
        utcnow: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        flush_seconds: float = FLUSH_SECONDS,
    ):
        self._load, self._flush, self._recover = load, flush, recover
        self._utcnow, self._monotonic, self._flush_seconds = utcnow, monotonic, flush_seconds
        self._reset()

    def _reset(self):
        self._ended: set[bytes] = set()
        self._listener: Callable[[], None] | None = None
        self._touched: dict[bytes, bool] = {}
        self._cursor: datetime | None = None
        self._loaded_at = self._flushed_at = self._full_load_at = float("-inf")
        self._failing = False
        self._loaded, self._stopping = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    # --- what the delivery asks -----------------------------------------------------------------

    def is_ended(self, session: bytes) -> bool:
        return session in self._ended

    def age(self) -> float:
        """Seconds since the last look that succeeded began; infinite before the first one."""
        return self._monotonic() - self._loaded_at

    def is_stale(self) -> bool:
        return self._monotonic() - self._loaded_at > STALE_SECONDS

    def touch(self, session: bytes) -> None:
        """Note a sign of life; it reaches the database within ``flush_seconds``."""
        self._touched[session] = True

    def on_ended(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called, in the thread, whenever sessions have ended; it must not block.

        There is one listener: the delivery of this process.
        """
        self._listener = listener

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread unless this process has one. A fork's child starts its own."""
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopping.clear()
                self._thread = threading.Thread(
                    target=self._run, name="ended-sessions", daemon=True
                )
                self._thread.start()

    def wait_until_loaded(self, timeout: float) -> bool:
        return self._loaded.wait(timeout)

    def stop(self, timeout: float = 5.0) -> None:
        """Flush what was touched and end the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def _run(self):
        self._flushed_at = self._monotonic()
        while True:
            self.step()
            if self._stopping.wait(PERIOD_SECONDS):
                break
        self.step(flush_now=True)
        self._recover()

    # --- one turn -------------------------------------------------------------------------------

    def step(self, *, flush_now: bool = False) -> None:
        """Look once, and flush when it is time. Never raises: the thread must outlive an outage."""
        try:
            self._look()
            if flush_now or self._monotonic() - self._flushed_at >= self._flush_seconds:
                self._flush_touched()
        except Exception:  # whatever a database raises, the next turn tries again
            if not self._failing:  # an outage is one line, not two a second
                logger.exception("The snapshot of ended sessions cannot be refreshed")
            self._failing = True
            try:
                self._recover()
            except Exception:
                logger.exception("The snapshot's database connection cannot be closed")
        else:
            if self._failing:
                logger.warning("The snapshot of ended sessions is fresh again")
            self._failing = False

    def _look(self):
        began, now = self._monotonic(), self._utcnow()
        full = self._cursor is None or began - self._full_load_at >= FULL_LOAD_SECONDS
        since = now - LONGEST_GRANT if full else self._cursor - OVERLAP
        found = {session_id.bytes for session_id in self._load(since, now)}
        fresh = not found <= self._ended
        if full:
            self._ended, self._full_load_at = found, began  # forgets those past their expiry
        else:
            self._ended |= found
        self._cursor, self._loaded_at = now, began
        self._loaded.set()
        if fresh and self._listener is not None:
            self._listener()

    def _flush_touched(self):
        touched, self._touched = self._touched, {}
        ids = [session for session in list(touched) if session not in self._ended]
        try:
            if ids:
                self._flush([UUID(bytes=session) for session in ids], self._utcnow())
        except Exception:
            self._touched = dict.fromkeys(ids, True) | self._touched
            raise
        finally:
            self._flushed_at = self._monotonic()


def database_snapshot() -> Snapshot:
    """The snapshot over the table of playback sessions."""
    from django.conf import settings
    from django.db import connections
    from django.utils import timezone

    return Snapshot(
        load_ended_sessions,
        store_signs_of_life,
        connections.close_all,  # the thread's own connections: Django keeps them per thread
        utcnow=timezone.now,
        flush_seconds=min(FLUSH_SECONDS, settings.SESSION_IDLE_SECONDS / 3),
    )


def load_ended_sessions(since: datetime, now: datetime) -> Iterable[UUID]:
    from streaming.models import PlaybackSession  # models load after this module

    ended = PlaybackSession.objects.filter(ended_at__gt=since, expires_at__gt=now)
    return ended.values_list("pk", flat=True)


def store_signs_of_life(ids: list[UUID], now: datetime) -> None:
    from streaming.models import PlaybackSession

    for start in range(0, len(ids), 500):  # short statements: others write too
        PlaybackSession.objects.filter(
            pk__in=ids[start : start + 500], ended_at__isnull=True
        ).update(last_seen_at=now)
