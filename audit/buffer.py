"""The entries about API requests, written in batches by a thread shortly after the response.

A request that only reads the database thereby needs no write transaction. A crash loses at most
AUDIT_FLUSH_SECONDS of these entries. Entries about changes do not pass through here:
`audit.services.record` writes each one in the transaction of its change.
"""

import atexit
import logging
import threading
from collections import deque

from django.conf import settings
from django.db import DatabaseError, connections

from audit.models import AuditEntry

logger = logging.getLogger(__name__)

CAPACITY = 20_000
BATCH = 500

_waiting: deque[AuditEntry] = deque(maxlen=CAPACITY)
_started = threading.Lock()
_flushing = threading.Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None


def put(entry: AuditEntry) -> None:
    """Add an entry to the next batch, without waiting for the database.

    Over CAPACITY waiting entries, the oldest one is dropped. With AUDIT_FLUSH_SECONDS = 0 the entry is
    written at once.
    """
    if settings.AUDIT_FLUSH_SECONDS == 0:
        entry.save(force_insert=True)
        return
    _waiting.append(entry)
    if _thread is None or not _thread.is_alive():
        _start()


def flush() -> None:
    """Write all waiting entries of this process. Other processes have their own.

    Raises DatabaseError; the entries that could not be written keep waiting.
    """
    with _flushing:
        while _waiting:
            batch = [_waiting.popleft() for _ in range(min(BATCH, len(_waiting)))]
            try:
                AuditEntry.objects.bulk_create(batch)
            except DatabaseError:
                _waiting.extendleft(reversed(batch))
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
