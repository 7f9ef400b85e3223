"""A lock of a name that holds in all processes of a service, on any number of machines."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import DatabaseError, connection

from videos.storage import folder as media_dir

FILES = 64


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Wait for the lock: by a file below MEDIA_DIR on this machine, by PostgreSQL on others.

    It ends with its process. SQLite has processes on one machine only.
    """
    media_dir.make_folder(folder)
    file = folder / str(uuid.uuid5(uuid.NAMESPACE_URL, name).int % FILES)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with _advisory_lock(name):
            yield
    finally:
        os.close(handle)


@contextmanager
def _advisory_lock(name: str) -> Iterator[None]:
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
    try:
        yield
    finally:
        with suppress(DatabaseError), connection.cursor() as cursor:  # it ends with the connection
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
