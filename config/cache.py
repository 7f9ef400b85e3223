"""Cache back ends for rate limits: exact counters of several processes, and no error when one is away.

While a cache is away, reading and counting return None and writing does nothing. None is "unknown", and
config.api.ratelimit decides what happens to the request.
"""

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache

from config import turnstile

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
PAUSE_SECONDS = 2.0  # before a cache that is away is asked again: each question may take a time-out

logger = logging.getLogger(__name__)


class _Counting(BaseCache):
    def count(self, key: str, timeout: float) -> int | None:
        """Add 1 to a key's number and return it; a key without a value gets 1 for ``timeout`` seconds.

        Exact for any number of callers, in one question to the cache.
        """
        raise NotImplementedError


class _Forgiving(_Counting):
    """The part of both back ends that takes an error of the cache for "unknown"."""

    _asked_again_at = 0.0  # of all threads of the process

    def _errors(self) -> tuple[type[Exception], ...]:
        raise NotImplementedError

    def _failed(self) -> None:
        """Forget what may be broken; called after an error."""

    def _unless_away(
        self,
        call: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result | None:
        """Return the call's result, or None if the cache is away."""
        kind = type(self)
        if time.monotonic() < kind._asked_again_at:
            return None
        try:
            return call(*args, **kwargs)
        except self._errors() as error:
            kind._asked_again_at = time.monotonic() + PAUSE_SECONDS
            logger.warning("The cache is away, so that requests are not counted: %s", error)
            self._failed()
            return None

    def add(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Store a value unless the key has one. Return whether this call stored it."""
        return bool(self._unless_away(super().add, key, value, timeout, version))

    def get(self, key: str, default: object = None, version: int | None = None) -> Any:
        return self._unless_away(super().get, key, default, version)

    def set(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        self._unless_away(super().set, key, value, timeout, version)

    def touch(
        self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Give a value a new timeout. Return False if the key has no value."""
        return bool(self._unless_away(super().touch, key, timeout, version))

    def incr(  # type: ignore[override]  # None is "unknown"
        self, key: str, delta: int = 1, version: int | None = None
    ) -> int | None:
        """Add ``delta`` and return the sum. Raises ValueError if the key has no value."""
        return self._unless_away(super().incr, key, delta, version)

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(self._unless_away(super().delete, key, version))

    def count(self, key: str, timeout: float) -> int | None:
        return self._unless_away(super().count, key, timeout)


class _SQLite(_Counting):
    """A cache in one local file that every process of this host shares.

    Values must be JSON. ``incr`` is one UPDATE; Django's database cache reads and then writes, so that
    two processes may count one request. The file is written without waiting for the disk, because
    nothing in it has to survive a power cut. Those who count wait for each other in a queue
    (`config.turnstile`).
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._path = location
        self._local = threading.local()
        self._next_cull = 0.0
        self._queue = turnstile.of(location)

    def _db(self) -> sqlite3.Connection:
        """Return this thread's connection, and open it at the first call."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(self._path, timeout=5, isolation_level=None)
            self._use_wal(db)
            db.execute("PRAGMA synchronous=OFF")
            db.execute(
                "CREATE TABLE IF NOT EXISTS cache"
                " (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires REAL) WITHOUT ROWID"
            )
            self._local.db = db
        return db

    @staticmethod
    def _use_wal(db: sqlite3.Connection) -> None:
        """Switch the file to write-ahead logging, and try for up to five seconds.

        Several processes may open a new file at once, and SQLite does not apply the connection's
        timeout to this statement.
        """
        give_up_at = time.monotonic() + 5
        while True:
            try:
                db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.01)

    def add(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        self._cull()
        changed = self._db().execute(
            "INSERT INTO cache VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, expires = excluded.expires WHERE expires <= ?",
            (
                self._key(key, version),
                json.dumps(value),
                self.get_backend_timeout(timeout),
                time.time(),
            ),
        )
        return changed.rowcount == 1

    def get(self, key: str, default: object = None, version: int | None = None) -> Any:
        row = (
            self._db()
            .execute(
                "SELECT value FROM cache WHERE key = ? AND (expires IS NULL OR expires > ?)",
                (self._key(key, version), time.time()),
            )
            .fetchone()
        )
        return json.loads(row[0]) if row else default

    def set(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        self._cull()
        self._db().execute(
            "INSERT OR REPLACE INTO cache VALUES (?, ?, ?)",
            (self._key(key, version), json.dumps(value), self.get_backend_timeout(timeout)),
        )

    def touch(
        self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        changed = self._db().execute(
            "UPDATE cache SET expires = ? WHERE key = ? AND (expires IS NULL OR expires > ?)",
            (self.get_backend_timeout(timeout), self._key(key, version), time.time()),
        )
        return changed.rowcount == 1

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        row = (
            self._db()
            .execute(
                "UPDATE cache SET value = value + ? WHERE key = ? AND (expires IS NULL OR expires > ?)"
                " RETURNING value",
                (delta, self._key(key, version), time.time()),
            )
            .fetchone()
        )
        if row is None:
            raise ValueError(f"Key {key!r} not found.")
        return int(row[0])

    def count(self, key: str, timeout: float) -> int:
        self._cull()
        db, now = self._db(), time.time()
        with self._queue.turn():
            # fetchall, because the statement writes what it changed when it is at its end.
            rows = db.execute(
                "INSERT INTO cache VALUES (?1, 1, ?2) ON CONFLICT (key) DO UPDATE SET"
                " value = CASE WHEN expires <= ?3 THEN 1 ELSE value + 1 END,"
                " expires = CASE WHEN expires <= ?3 THEN ?2 ELSE expires END RETURNING value",
                (self._key(key, None), now + timeout, now),
            ).fetchall()
        return int(rows[0][0])

    def delete(self, key: str, version: int | None = None) -> bool:
        deleted = self._db().execute("DELETE FROM cache WHERE key = ?", (self._key(key, version),))
        return deleted.rowcount == 1

    def clear(self) -> None:
        self._db().execute("DELETE FROM cache")

    def _key(self, key: str, version: int | None) -> str:
        return self.make_and_validate_key(key, version=version)

    def _cull(self) -> None:
        """Delete the expired rows, at most once a minute in each process."""
        now = time.time()
        if now > self._next_cull:
            self._next_cull = now + 60
            self._db().execute("DELETE FROM cache WHERE expires <= ?", (now,))

    def _reopen(self) -> None:
        """Open the file again at the next call, and start a new one if it is damaged.

        It is written without waiting for the disk, so a power cut may damage it.
        """
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._local.db.close()
        self._local.db = None
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=1)) as db:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                is_damaged = db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
        except (
            sqlite3.OperationalError
        ):  # busy, or the folder is away: nothing is wrong with the file
            return
        except sqlite3.DatabaseError:
            is_damaged = True
        if is_damaged:
            logger.warning("The cache's file %s is damaged; a new one is started.", self._path)
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)


class SQLiteCache(_Forgiving, _SQLite):  # type: ignore[misc]  # None is "unknown"
    """A cache in a local file, for one host."""

    def _errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error, OSError)

    def _failed(self) -> None:
        with contextlib.suppress(OSError):
            self._reopen()


class _Redis(RedisCache, _Counting):
    def count(self, key: str, timeout: float) -> int:
        name = self.make_and_validate_key(key)
        pipeline = self._cache.get_client(name, write=True).pipeline()
        pipeline.set(name, 0, ex=int(timeout), nx=True)
        pipeline.incr(name)
        return int(pipeline.execute()[1])


class ForgivingRedisCache(_Forgiving, _Redis):  # type: ignore[misc]  # None is "unknown"
    """A cache in Redis, for several hosts."""

    def _errors(self) -> tuple[type[Exception], ...]:
        from redis.exceptions import RedisError  # imported late: only this back end needs redis

        return (RedisError, OSError)
