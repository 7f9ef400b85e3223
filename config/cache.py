"""Cache back ends whose counters are exact when several processes count at once."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SQLiteCache(BaseCache):
    """A cache in one local file that every process of this host shares.

    Values must be JSON. ``incr`` is one UPDATE; Django's database cache reads and then writes, so that
    two processes may count one request. The file is written without waiting for the disk, because
    nothing in it has to survive a power cut.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._path = location
        self._local = threading.local()
        self._next_cull = 0.0

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
        """Store a value unless the key has one. Return whether this call stored it."""
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
        """Give a value a new timeout. Return False if the key has no value."""
        changed = self._db().execute(
            "UPDATE cache SET expires = ? WHERE key = ? AND (expires IS NULL OR expires > ?)",
            (self.get_backend_timeout(timeout), self._key(key, version), time.time()),
        )
        return changed.rowcount == 1

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add ``delta`` and return the sum. Raises ValueError if the key has no value."""
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


class ForgivingRedisCache(RedisCache):
    """A Redis cache for rate limits that never raises an error when Redis is unreachable.

    ``incr`` and ``get`` then return None. django-ratelimit reads a count of None as "unknown", and
    config.api.ratelimit decides what happens to the request.
    """

    def add(
        self,
        key: str,
        value: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        return bool(_unless_unreachable(super().add, key, value, timeout, version))

    def incr(  # type: ignore[override]  # None is django-ratelimit's "unknown"
        self, key: str, delta: int = 1, version: int | None = None
    ) -> int | None:
        return _unless_unreachable(super().incr, key, delta, version)

    def get(self, key: str, default: object = None, version: int | None = None) -> Any:
        return _unless_unreachable(super().get, key, default, version)


def _unless_unreachable(
    call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result | None:
    """Return the call's result, or None if Redis is unreachable."""
    from redis.exceptions import RedisError  # imported late: only this back end needs redis

    try:
        return call(*args, **kwargs)
    except (RedisError, OSError):
        return None
