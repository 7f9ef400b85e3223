"""The connections of `config.sqlite3`: whoever writes waits in the queue of the file first."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.db.backends.sqlite3 import base

from config import turnstile
from config.texts import folded

REMEMBERED, REMEMBERED_CHARS = 512, 8_000  # converted queries of a process, and their length
FOLD = "folded"  # the name of `config.texts.folded` in statements
WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLAC"})  # the first six letters


class Connection(sqlite3.Connection):
    """A connection that knows its queue; None for a database in memory."""

    queue: turnstile.Turnstile | None = None

    def turn(self, query: str) -> contextlib.AbstractContextManager[None]:
        """Return the turn for a statement that writes and is a transaction of its own, else nothing."""
        if self.queue is None or query[:6] not in WRITES or self.in_transaction:
            return _NOTHING
        return self.queue.turn()


_NOTHING = contextlib.nullcontext()


class Cursor(base.SQLiteCursorWrapper):
    """A cursor whose statements wait for their turn, if they write and are transactions of their own."""

    def execute(self, query: str, params: Any = None) -> Any:
        with self.connection.turn(query):  # type: ignore[attr-defined]  # of Connection
            return super().execute(query, params)

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        """Return the query with the driver's marks for parameters; remembers the last ones."""
        if param_names is not None or len(query) > REMEMBERED_CHARS:
            converted: str = super().convert_query(query, param_names=param_names)
            return converted
        return _with_marks(query)


@lru_cache(maxsize=REMEMBERED)
def _with_marks(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions begin in their turn, and pass it on at their end."""

    _entered: turnstile.Turnstile | None = None

    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "factory": Connection}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        connection: Connection = super().get_new_connection(conn_params)
        connection.create_function(FOLD, 1, folded, deterministic=True)
        if not self.is_in_memory_db():
            connection.queue = turnstile.of(str(conn_params["database"]))
        return connection

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor

    def run_prepared(self, sql: str, params: Sequence[Any]) -> tuple[list[Any], int] | None:
        """Run a statement that has the same text each time, without the layers of Django's cursor.

        Return its rows, and the number of rows that it is about; None, without having done anything, if
        somebody watches the statements. The driver has the last ones compiled. Raises what a cursor
        raises.
        """
        if self.execute_wrappers or self.queries_logged:
            return None
        self.ensure_connection()
        self.validate_no_broken_transaction()
        connection: Connection = self.connection
        with self.wrap_database_errors, connection.turn(sql):
            cursor = connection.execute(_with_marks(sql), params)
            return cursor.fetchall(), cursor.rowcount

    def _start_transaction_under_autocommit(self) -> None:
        queue = self.connection.queue
        if queue is not None and queue.enter():
            self._entered = queue
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # stubs lack it
        except BaseException:
            self._pass_on()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]  # as above
        finally:
            self._pass_on_at_end()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # as above
        finally:
            self._pass_on_at_end()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]  # as above
        finally:
            self._pass_on()

    @contextlib.contextmanager
    def asynchronous_commit(self) -> Iterator[None]:
        """See `config.durability`."""
        self.ensure_connection()
        connection = self.connection
        if connection.in_transaction:  # where SQLite refuses to change this
            yield
            return
        connection.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            if connection is self.connection:  # a new one waits for the disk already
                self._wait_for_disk_again()

    def _wait_for_disk_again(self) -> None:
        try:
            self.connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:  # a transaction is still open
            self.close()
            raise

    def __del__(self) -> None:
        self._pass_on()  # of a thread that ended inside a transaction

    def _pass_on_at_end(self) -> None:
        # A commit that failed is rolled back next, and keeps the database's lock until then.
        if self.connection is None or not self.connection.in_transaction:
            self._pass_on()

    def _pass_on(self) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            entered.leave()
