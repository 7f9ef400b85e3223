"""The rows about API requests, written in batches by a thread shortly after the response.

A request that only reads the database thereby needs no write transaction. A process that is killed
loses at most AUDIT_FLUSH_SECONDS of the listed requests, and COUNTS_SECONDS of the counted ones; one
that ends loses none. Entries about changes do not pass through here: `audit.services.record` writes each
one in the transaction of its change.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from datetime import datetime

from django.conf import settings
from django.db import DataError, Error, IntegrityError, connections, transaction

from audit.actions import AuditAction
from audit.models import AuditEntry
from audit.requests import ApiRequest
from audit.tally import Call, Tally
from config.rows import insert

logger = logging.getLogger(__name__)

CAPACITY = 20_000
BATCH = 500
COUNTS_SECONDS = 60
UNSTORABLE = (DataError, IntegrityError, ValueError)  # drivers refuse some texts by a ValueError

_tally = Tally()
_waiting: deque[ApiRequest] = deque()
_dropped: tuple[int, datetime, datetime] | None = None  # how many were given up, from when to when
_dropping = threading.Lock()
_started = threading.Lock()
_flushing = threading.Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None


def put(call: Call) -> None:
    """List or count a request, without waiting for the database.

    Over CAPACITY waiting rows, the new one is given up; the next flush records how many were. With
    AUDIT_FLUSH_SECONDS = 0 everything is written at once.
    """
    row = _tally.take(call)
    if row is not None and len(_waiting) < CAPACITY:
        _waiting.append(row)
    elif row is not None:
        _drop(1, row.at, row.at)
    if settings.AUDIT_FLUSH_SECONDS == 0:
        flush()
    elif _thread is None or not _thread.is_alive():
        _start()


def flush(*, counts: bool = True, patience: float = -1) -> None:
    """Write all waiting rows of this process, and its counts. Other processes have their own.

    Safe to repeat after a lost answer: a row that is stored already is left as it is, and a count is
    stored as the sum so far. A row that the database cannot take is given up, so that it does not stop
    the others. Raises django.db.Error if the database is away; the rows then keep waiting. Does nothing
    if another thread is writing for longer than ``patience`` seconds (-1: waits as long as it takes).
    """
    if not _flushing.acquire(timeout=patience):
        return
    try:
        while _waiting:
            batch = [_waiting.popleft() for _ in range(min(BATCH, len(_waiting)))]
            try:
                _write(batch)
            except Error:
                _waiting.extendleft(reversed(batch))
                raise
        if counts:
            _write_counts()
        _record_dropped()
    finally:
        _flushing.release()


def forget() -> None:
    """Forget all that is not written: in a child process it belongs to the parent."""
    global _tally, _dropped
    _tally, _dropped = Tally(), None
    _waiting.clear()


os.register_at_fork(after_in_child=forget)


def _write(rows: list[ApiRequest]) -> None:
    try:
        _insert(rows)
    except UNSTORABLE:
        for row in rows:
            try:
                _insert([row])
            except UNSTORABLE:
                logger.exception("An API request cannot be recorded, and is given up.")
                _drop(1, row.at, row.at)


def _write_counts() -> None:
    rows = _tally.changed()
    try:
        for start in range(0, len(rows), BATCH):
            _insert(rows[start : start + BATCH])
    except Error:
        _tally.not_stored(rows)
        raise


@transaction.atomic
def _insert(rows: list[ApiRequest]) -> None:
    """Store rows with their callers, in one transaction of a few statements."""
    callers = {row.caller_id: row.caller for row in rows if row.caller}
    # In one order: two processes that insert the same ones would wait for each other on PostgreSQL.
    in_order = sorted(callers.values(), key=lambda caller: caller.number)
    if in_order:
        insert(*in_order, ignore_conflicts=True)
    if rows[0].count is None:
        insert(*rows, ignore_conflicts=True)
    else:
        insert(*rows, update=("count", "until"))


def _drop(count: int, first: datetime, last: datetime) -> None:
    """Note that requests are given up. A database may be away for hours, so only their span is kept."""
    global _dropped
    with _dropping:
        if _dropped is not None:
            count += _dropped[0]
            first, last = min(first, _dropped[1]), max(last, _dropped[2])
        _dropped = count, first, last


def _record_dropped() -> None:
    """Write how many requests were given up, and from when to when, as an audit entry."""
    global _dropped
    with _dropping:
        dropped, _dropped = _dropped, None
    if dropped is None:
        return
    count, first, last = dropped
    data = {"rows": count, "from": first.isoformat(), "to": last.isoformat()}
    try:
        AuditEntry.objects.create(action=AuditAction.REQUESTS_DROPPED, data=data)
    except Error:
        _drop(*dropped)
        raise


def _start() -> None:
    # Called by the first request of a process and not on import, because a fork would lose the thread.
    global _thread
    with _started:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="audit-buffer", daemon=True)
            _thread.start()
            atexit.register(record_the_rest)


def _run() -> None:
    counted_at = time.monotonic()
    while True:
        _wake.wait(settings.AUDIT_FLUSH_SECONDS)
        now = time.monotonic()
        try:
            counts = now - counted_at >= COUNTS_SECONDS
            flush(counts=counts)
            counted_at = now if counts else counted_at
        except Error:
            logger.warning("API requests could not be recorded. They keep waiting.", exc_info=True)
            connections.close_all()
            threading.Event().wait(2)
        if settings.AUDIT_FLUSH_SECONDS == 0:  # put() writes every row at once from now on
            connections.close_all()
            return


def record_the_rest() -> None:
    """Write what waits, at the end of the process. Safe to repeat."""
    try:
        flush()
    except Error:
        logger.exception("The process ended with %d unwritten API requests.", len(_waiting))
    finally:
        connections.close_all()
