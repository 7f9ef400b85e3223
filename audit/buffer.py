"""API activity is written in batches, a moment after the answer: a read stays a read.

State changes are not in here: `audit.services.record` writes those in their own transaction. A crash
loses at most `AUDIT_FLUSH_SECONDS` of activity.
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
    """Keep an entry for the next batch. Never waits; over CAPACITY the oldest are dropped."""
    if settings.AUDIT_FLUSH_SECONDS == 0:
        entry.save(force_insert=True)
        return
    _waiting.append(entry)
    if _thread is None or not _thread.is_alive():
        _start()


def flush() -> None:
    """Write everything that waits in this process."""
    with _flushing:
        while _waiting:
            batch = [_waiting.popleft() for _ in range(min(BATCH, len(_waiting)))]
            try:
                AuditEntry.objects.bulk_create(batch)
            except DatabaseError:
                _waiting.extendleft(reversed(batch))
                raise


def _start() -> None:
    # Started by the first entry, so always after a fork.
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
            logger.warning("Audit entries could not be written; they wait.", exc_info=True)
            connections.close_all()
            threading.Event().wait(2)
        if settings.AUDIT_FLUSH_SECONDS == 0:  # from now on every entry is written at once
            connections.close_all()
            return


def _last_flush() -> None:
    try:
        flush()
    except DatabaseError:
        logger.exception("%d audit entries were lost at the end of the process.", len(_waiting))
