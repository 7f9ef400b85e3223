"""The entries about API requests, written in batches by a thread shortly after the response.

A request that only reads the database thereby needs no write transaction. A crash loses at most
AUDIT_FLUSH_SECONDS of these entries. Entries about changes do not pass through here:
`audit.services.record` writes each one in the transaction of its change.
"""

import atexit
import logging
import threading
from collections import deque
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, connections

from audit.actions import AuditAction
from audit.models import AuditEntry

logger = logging.getLogger(__name__)

CAPACITY = 20_000
BATCH = 500

_waiting: deque[AuditEntry] = deque()
_dropped: list[datetime] = []  # the times of the entries that were given up since the last flush
_started = threading.Lock()
_flushing = threading.Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None


def put(entry: AuditEntry) -> None:
    """Add an entry to the next batch, without waiting for the database.

    Over CAPACITY waiting entries, the new one is given up; the next flush records how many were. With
    AUDIT_FLUSH_SECONDS = 0 the entry is written at once.
    """
    if settings.AUDIT_FLUSH_SECONDS == 0:
        entry.save(force_insert=True)
        return
    if len(_waiting) < CAPACITY:
        _waiting.append(entry)
    else:
        _dropped.append(entry.at)
    if _thread is None or not _thread.is_alive():
        _start()


def flush() -> None:
    """Write all waiting entries of this process. Other processes have their own.

    Safe to repeat after a lost answer: an entry that is stored already is left as it is. An entry that
    the database cannot take is given up, so that it does not stop the others. Raises DatabaseError if
    the database is away; the entries then keep waiting.
    """
    with _flushing:
        while _waiting:
            batch = [_waiting.popleft() for _ in range(min(BATCH, len(_waiting)))]
            try:
                _write(batch)
            except DatabaseError:
                _waiting.extendleft(reversed(batch))
                raise
        _record_dropped()


def _write(batch: list[AuditEntry]) -> None:
    try:
        AuditEntry.objects.bulk_create(batch, ignore_conflicts=True)
    except (DataError, IntegrityError):
        for entry in batch:
            try:
                AuditEntry.objects.bulk_create([entry], ignore_conflicts=True)
            except (DataError, IntegrityError):
                logger.exception("An audit entry cannot be stored, and is given up.")
                _dropped.append(entry.at)


def _record_dropped() -> None:
    """Write how many entries were given up, and from when to when, as an entry of its own."""
    if not _dropped:
        return
    times = [_dropped.pop() for _ in range(len(_dropped))]
    data = {"rows": len(times), "from": min(times).isoformat(), "to": max(times).isoformat()}
    try:
        AuditEntry.objects.create(action=AuditAction.REQUESTS_DROPPED, data=data)
    except DatabaseError:
        _dropped.extend(times)
        raise


def _start() -> None:
    # Called by the first entry of a process and not on import, because a fork would lose the thread.
    global _thread
    with _started:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="audit-buffer", daemon=True)
            _thread.start()
            atexit.register(_last_flush)


def _run() -> None:
    while True:
        _wake.wait(settings.AUDIT_FLUSH_SECONDS)
        try:
            flush()
        except DatabaseError:
            logger.warning("Audit entries could not be written. They keep waiting.", exc_info=True)
            connections.close_all()
            threading.Event().wait(2)
        if settings.AUDIT_FLUSH_SECONDS == 0:  # put() writes every entry at once from now on
            connections.close_all()
            return


def _last_flush() -> None:
    try:
        flush()
    except DatabaseError:
        logger.exception("The process ended with %d unwritten audit entries.", len(_waiting))
