"""Caches that count correctly over several processes, and the one that survives a dead Redis."""

import json
import sqlite3
import threading
import time

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache


class SQLiteCache(BaseCache):
    """A cache in one local file, shared by every process of this host.

    Django's database cache reads and then writes in ``incr``, so two processes can count the same
    request once; here one UPDATE counts. Values are JSON. Nothing in it has to survive a power cut,
    so it does not wait for the disk.
    """

    def __init__(self, location: str, params: dict):
        super().__init__(params)
        self._path = location
        self._local = threading.local()
        self._next_cull = 0.0

    def _db(self) -> sqlite3.Connection:
        db = getattr(self._local, "db", None)
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
        """Several may open a new file at once, and this change does not wait for its turn by itself."""
        patience = time.monotonic() + 5
        while True:
            try:
                db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > patience:
                    raise
                time.sleep(0.01)

    def _expires(self, timeout) -> float | None:
        return self.get_backend_timeout(timeout)

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self._cull()
        changed = self._db().execute(
            "INSERT INTO cache VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, expires = excluded.expires WHERE expires <= ?",
            (self._key(key, version), json.dumps(value), self._expires(timeout), time.time()),
        )
        return changed.rowcount == 1

    def get(self, key, default=None, version=None):
        row = (
            self._db()
            .execute(
                "SELECT value FROM cache WHERE key = ? AND (expires IS NULL OR expires > ?)",
                (self._key(key, version), time.time()),
            )
            .fetchone()
        )
        return json.loads(row[0]) if row else default

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self._cull()
        self._db().execute(
            "INSERT OR REPLACE INTO cache VALUES (?, ?, ?)",
            (self._key(key, version), json.dumps(value), self._expires(timeout)),
        )

    def touch(self, key, timeout=DEFAULT_TIMEOUT, version=None):
        changed = self._db().execute(
            "UPDATE cache SET expires = ? WHERE key = ? AND (expires IS NULL OR expires > ?)",
            (self._expires(timeout), self._key(key, version), time.time()),
        )
        return changed.rowcount == 1

    def incr(self, key, delta=1, version=None):
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

    def delete(self, key, version=None):
        found = self._db().execute("DELETE FROM cache WHERE key = ?", (self._key(key, version),))
        return found.rowcount == 1

    def clear(self):
        self._db().execute("DELETE FROM cache")

    def _key(self, key, version) -> str:
        return self.make_and_validate_key(key, version=version)

    def _cull(self) -> None:
        now = time.time()
        if now > self._next_cull:
            self._next_cull = now + 60
            self._db().execute("DELETE FROM cache WHERE expires <= ?", (now,))


class ForgivingRedisCache(RedisCache):
    """Redis for rate limits: when it is away the answer is None, never an error page.

    django-ratelimit reads a count of None as "cannot tell"; config.api.ratelimit decides what follows.
    """

    def add(self, *args, **kwargs):
        return self._try(super().add, *args, **kwargs)

    def incr(self, *args, **kwargs):
        return self._try(super().incr, *args, **kwargs)

    def get(self, key, default=None, version=None):
        return self._try(super().get, key, default, version)

    @staticmethod
    def _try(call, *args, **kwargs):
        from redis.exceptions import RedisError

        try:
            return call(*args, **kwargs)
        except (RedisError, OSError):
            return None
