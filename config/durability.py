"""Transactions that a power cut may undo: those of reports of which the latest seconds may be lost."""

from contextlib import AbstractContextManager, nullcontext

from django.db import DEFAULT_DB_ALIAS, connections


def asynchronous_commit() -> AbstractContextManager[None]:
    """Commit the transactions inside without waiting for the disk, on SQLite.

    A power cut may undo them, each as a whole and the latest ones first. The end of a process, and a
    crash of it, undo nothing. The next ordinary commit of any connection makes them last, so what is
    committed later never lasts without them. Inside a transaction this changes nothing: the commit
    of that transaction waits as usual. On PostgreSQL this changes nothing either.
    """
    begin = getattr(connections[DEFAULT_DB_ALIAS], "asynchronous_commit", None)
    context: AbstractContextManager[None] = begin() if begin is not None else nullcontext()
    return context
