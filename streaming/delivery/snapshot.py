"""The revocation snapshot: the ended playback sessions, kept in the memory of each delivery process.

One daemon thread for each process reads the ended sessions from the database five times a second, at
any load, and writes the sessions' latest activity back in bulk. Requests only read this memory.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from config.prepared import Prepared
    from streaming.models import PlaybackSession

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 0.2
STALE_SECONDS = 5.0
FLUSH_SECONDS = 30.0
SERVED_SECONDS = 1.0  # from a served segment to its session's row: players report every ten seconds
# Seconds after the end of a session until each process knows of it and has recorded its sent segments.
SETTLED_SECONDS = 2 * PERIOD_SECONDS + SERVED_SECONDS + 0.5
# ended_at is set before its transaction commits, by the clock of any host. So each load reaches back
# over the longest wait for a lock, and a full load every few minutes finds even later commits.
OVERLAP = timedelta(seconds=25)
FULL_LOAD_SECONDS = 300.0
# The longest PLAYBACK_GRANT_HOURS. Sessions that ended earlier have expired, so a load can skip them.
LONGEST_GRANT = timedelta(hours=72)

Loader = Callable[[datetime, datetime], Iterable[UUID]]
Flusher = Callable[[list[UUID], datetime], None]
# Stores served segments, as bits by session, and returns those that it could not store now.
Recorder = Callable[[dict[UUID, int]], dict[UUID, int]]


class Snapshot:
    """The ended sessions, by the 16 bytes of their ids, as grants carry them.

    ``load(since, now)`` returns the sessions that ended after ``since`` and have not expired at
    ``now``. ``flush(ids, now)`` stores ``now`` as the latest activity of these sessions. ``record``
    stores the segments that were served to them, ``record_begun`` those that were served in part.
    ``recover()`` runs after a failure of any, and at the end. Only the thread calls these; they may
    raise any exception.
    """

    def __init__(
        self,
        load: Loader,
        flush: Flusher,
        recover: Callable[[], None] = lambda: None,
        *,
        record: Recorder = lambda parts: {},
        record_begun: Recorder = lambda parts: {},
        utcnow: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        flush_seconds: float = FLUSH_SECONDS,
    ):
        self._load, self._flush, self._recover, self._record = load, flush, recover, record
        self._record_begun = record_begun
        self._utcnow, self._monotonic, self._flush_seconds = utcnow, monotonic, flush_seconds
        self._reset()

    def _reset(self) -> None:
        self._ended: set[bytes] = set()
        self._listener: Callable[[], None] | None = None
        self._touched: dict[bytes, bool] = {}
        # (session, segment), from the event loop to the thread: append and popleft need no lock.
        self._served: deque[tuple[bytes, int]] = deque()
        self._begun: deque[tuple[bytes, int]] = deque()
        self._parts: dict[UUID, int] = {}  # segments that the thread has to record
        self._begun_parts: dict[UUID, int] = {}
        self._cursor: datetime | None = None
        self._loaded_at = self._flushed_at = self._full_load_at = float("-inf")
        self._recorded_at = float("-inf")
        self._failing = False
        self._loaded, self._stopping = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    # --- read by requests -----------------------------------------------------------------------

    def is_ended(self, session: bytes) -> bool:
        """Whether the session is known to have ended."""
        return session in self._ended

    def age(self) -> float:
        """Return the seconds since the latest successful load began; infinite before the first."""
        return self._monotonic() - self._loaded_at

    def is_stale(self) -> bool:
        """Whether the snapshot is too old to trust: no load succeeded for STALE_SECONDS."""
        return self.age() > STALE_SECONDS

    def touch(self, session: bytes) -> None:
        """Note that the session is active; the next flush stores it, within ``flush_seconds``."""
        self._touched[session] = True

    def serve(self, session: bytes, segment: int) -> None:
        """Note that a whole segment was served; it is recorded within SERVED_SECONDS and a little."""
        self._served.append((session, segment))

    def begin(self, session: bytes, segment: int) -> None:
        """Note that a segment is served in part, or that its client may not take all of it."""
        self._begun.append((session, segment))

    def on_ended(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` from now on, in the thread, after each load that found newly ended sessions.

        It must not block. A second listener replaces the first.
        """
        self._listener = listener

    # --- the thread -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, unless this process has one. Safe to repeat.

        The child of a fork has no thread and starts empty: its parent stores its own activity.
        """
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
        """Wait at most ``timeout`` seconds for the first load; return whether it has succeeded."""
        return self._loaded.wait(timeout)

    def stop(self, timeout: float = 5.0) -> None:
        """Flush, and end the thread; wait for it at most ``timeout`` seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def _run(self) -> None:
        self._flushed_at = self._monotonic()
        while True:
            self.step()
            if self._stopping.wait(PERIOD_SECONDS):
                break
        self.step(flush_now=True)
        self._recover()

    # --- one step of the thread -----------------------------------------------------------------

    def step(self, *, flush_now: bool = False) -> None:
        """Load once, and flush when it is due or ``flush_now``.

        Never raises, because the thread must survive an outage of the database. Logs the beginning
        and the end of an outage, once each.
        """
        try:
            self._load_ended()
            if flush_now or self._monotonic() - self._flushed_at >= self._flush_seconds:
                self._flush_touched()
            if flush_now or self._monotonic() - self._recorded_at >= SERVED_SECONDS:
                self._record_served()
        except Exception:  # Any error of the database: the next step tries again.
            if not self._failing:
                logger.exception("The revocation snapshot cannot be refreshed; it is tried again")
            self._failing = True
            try:
                self._recover()
            except Exception:
                logger.exception(
                    "The database connection of the revocation snapshot cannot be closed"
                )
        else:
            if self._failing:
                logger.warning("The revocation snapshot is up to date again")
            self._failing = False

    def _load_ended(self) -> None:
        """Load the sessions that ended since the last load, or all of them when that is due.

        Then call the listener if there are new ones.
        """
        began, now = self._monotonic(), self._utcnow()
        if self._cursor is None or began - self._full_load_at >= FULL_LOAD_SECONDS:
            is_full, since = True, now - LONGEST_GRANT
        else:
            is_full, since = False, self._cursor - OVERLAP
        loaded = {session_id.bytes for session_id in self._load(since, now)}
        has_new = not loaded <= self._ended
        if is_full:
            # Replacing the set also forgets the sessions that have expired.
            self._ended, self._full_load_at = loaded, began
        else:
            self._ended |= loaded
        self._cursor, self._loaded_at = now, began
        self._loaded.set()
        if has_new and self._listener is not None:
            self._listener()

    def _record_served(self) -> None:
        """Record the served segments. After a failure they are kept for the next time."""
        _gather(self._served, self._parts)
        _gather(self._begun, self._begun_parts)
        for key, bits in list(self._begun_parts.items()):  # most of them are whole by now
            self._begun_parts[key] = bits & ~self._parts.get(key, 0)
            if not self._begun_parts[key]:
                del self._begun_parts[key]
        self._recorded_at = self._monotonic()
        if self._parts:
            self._parts = self._record(self._parts)
        if self._begun_parts:
            self._begun_parts = self._record_begun(self._begun_parts)

    def _flush_touched(self) -> None:
        """Store the activity of the touched sessions that have not ended.

        After a failure they are kept for the next flush.
        """
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


def _gather(segments: deque[tuple[bytes, int]], parts: dict[UUID, int]) -> None:
    """Move the segments of sessions into ``parts``, as bits by session."""
    while segments:
        session, segment = segments.popleft()
        key = UUID(bytes=session)
        parts[key] = parts.get(key, 0) | 1 << segment


def database_snapshot() -> Snapshot:
    """Return a snapshot of the table of playback sessions, not started yet."""
    from django.conf import settings
    from django.db import connections
    from django.utils import timezone

    return Snapshot(
        load_ended_sessions,
        store_activity,
        connections.close_all,  # Django keeps connections per thread, so this closes the thread's.
        record=record_served,
        record_begun=record_begun,
        utcnow=timezone.now,
        flush_seconds=min(FLUSH_SECONDS, settings.SESSION_IDLE_SECONDS / 3),
    )


def load_ended_sessions(since: datetime, now: datetime) -> list[UUID]:
    """Return the ids of the sessions that ended after ``since`` and have not expired at ``now``."""
    return [session for (session,) in _ended_sessions().rows(since=since, now=now)]


@cache
def _ended_sessions() -> "Prepared":
    from config.prepared import Prepared  # here, because importing this module must not need models

    return Prepared(ended_sessions, since=datetime, now=datetime)


def ended_sessions(since: datetime, now: datetime) -> "QuerySet[PlaybackSession, tuple[UUID]]":
    from streaming.models import PlaybackSession

    ended = PlaybackSession.objects.filter(ended_at__gt=since, expires_at__gt=now)
    return ended.values_list("pk")


def store_activity(ids: list[UUID], now: datetime) -> None:
    """Set ``last_seen_at`` of the sessions that have not ended; unknown ids are skipped."""
    from config import ordered
    from streaming.models import PlaybackSession

    # Small batches, because each locks its rows and heartbeats write to the same rows.
    for start in range(0, len(ids), 500):
        running = PlaybackSession.objects.filter(
            pk__in=ids[start : start + 500], ended_at__isnull=True
        )
        ordered.update(running, last_seen_at=now)


def record_served(parts: dict[UUID, int]) -> dict[UUID, int]:
    """Record served segments; see `streaming.delivered.record`."""
    from streaming import delivered

    return delivered.record(parts)


def record_begun(parts: dict[UUID, int]) -> dict[UUID, int]:
    """Record segments that were served in part; see `streaming.delivered.record_begun`."""
    from streaming import delivered

    return delivered.record_begun(parts)
