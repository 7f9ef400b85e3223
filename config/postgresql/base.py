"""The connections of `config.postgresql`: Django's, with statements that PostgreSQL prepares once.

A statement that a connection runs again and again is parsed and planned by PostgreSQL at its first use
("Extended Query" in PostgreSQL's protocol). Later runs send its name and its values through libpq. Both
sides then work a fraction of the time of an ordinary cursor, which writes the values into the text of
the statement. A pool between that gives a connection of PostgreSQL to one transaction after another has
to know prepared statements (docs/operations.md).
"""

import hashlib
import re
import select
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from django.db.backends.postgresql import base
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer

from config.postgresql.schema import DatabaseSchemaEditor

TRUSTED_SECONDS = 5.0  # after an answer, in which a connection without news counts as usable
STATEMENTS_MAX = 500  # that a connection prepares; each takes PostgreSQL some memory
_MARK = re.compile("%[s%]")
_UUID, _TIMESTAMPTZ = 2950, 1184
_IDLE, _BAD = pq.TransactionStatus.IDLE, pq.ConnStatus.BAD
_TUPLES, _DONE = pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK
_TEXT = PyFormat.TEXT
# What PostgreSQL says when it has forgotten a statement, or when a migration has changed its columns.
_LOST = (errors.InvalidSqlStatementName, errors.FeatureNotSupported)


class Answer(NamedTuple):
    """The rows of an answer as an ordinary cursor fetches them, and the number of rows it is about."""

    rows: list[tuple[Any, ...]]
    concerned: int


class _Statements:
    """The prepared statements of one connection."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection, self._libpq = connection, connection.pgconn
        self._values = Transformer(connection)
        self._known: dict[str, tuple[bytes, list[PyFormat]]] = {}
        self._are_lost = False

    def run(self, sql: str, params: Sequence[Any]) -> Answer:
        try:
            return self._run(sql, params)
        except _LOST:
            self._are_lost = True
            if self._libpq.transaction_status != _IDLE:
                raise  # the transaction has failed, and its next try prepares again
        return self._run(sql, params)

    def _run(self, sql: str, params: Sequence[Any]) -> Answer:
        libpq, values = self._libpq, self._values
        if libpq.transaction_status == _IDLE:
            if self._are_lost:
                self._checked(libpq.exec_(b"DEALLOCATE ALL"))
                self._known.clear()
                self._are_lost = False
            if not self.connection.autocommit:
                self._checked(libpq.exec_(b"BEGIN"))
        name, formats = self._known.get(sql) or self._prepare(sql, params)
        given = values.dump_sequence(params, formats)
        result = libpq.exec_prepared(name, given)  # type: ignore[arg-type]  # None is allowed
        if result.status == _TUPLES:
            values.set_pgresult(result)
            rows = values.load_rows(0, result.ntuples, tuple)
            return Answer(rows, len(rows))
        self._checked(result)
        return Answer([], result.command_tuples or 0)

    def has_room_for(self, sql: str) -> bool:
        return sql in self._known or len(self._known) < STATEMENTS_MAX

    def _prepare(self, sql: str, params: Sequence[Any]) -> tuple[bytes, list[PyFormat]]:
        """Let PostgreSQL prepare a statement. It knows the types of most parameters by their place."""
        formats = [_TEXT] * len(params)
        self._values.dump_sequence(params, formats)
        # Those that an ordinary cursor names, too. The type of an int depends on its value.
        types = [oid if oid in {_UUID, _TIMESTAMPTZ} else 0 for oid in self._values.types or ()]
        text = _numbered(sql).encode()
        # The name tells the statement: behind a pool, another client's of this name is the same one.
        name = b"vod_" + hashlib.sha256(b"%r %s" % (types, text)).hexdigest()[:32].encode()
        self._checked(self._libpq.prepare(name, text, types))
        self._known[sql] = name, formats
        return self._known[sql]

    def _checked(self, result: pq.abc.PGresult) -> None:
        """Raise what an ordinary cursor raises for a result that is an error."""
        if result.status in (_DONE, _TUPLES):
            return
        if self._libpq.status == _BAD:
            raise psycopg.OperationalError(self._libpq.get_error_message())
        raise errors.error_from_result(result, encoding="utf-8")


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that runs statements which PostgreSQL has prepared."""

    SchemaEditorClass = DatabaseSchemaEditor

    _statements: _Statements | None = None
    _answered_at = -TRUSTED_SECONDS

    def run_prepared(self, sql: str, params: Sequence[Any]) -> Answer | None:
        """Run a statement that has the same text each time; its values are ``params``.

        Returns None, without having done anything, if an ordinary cursor must run it: somebody watches
        the statements, or too many are prepared. Raises what a cursor raises.
        """
        if self.execute_wrappers or self.queries_logged:
            return None
        self.close_if_health_check_failed()
        self.ensure_connection()
        statements = self._statements
        if statements is None or statements.connection is not self.connection:
            statements = self._statements = _Statements(self.connection)
        if not statements.has_room_for(sql):
            return None
        self.validate_no_broken_transaction()
        with self.wrap_database_errors:
            answer = statements.run(sql, params)
        self._answered_at = time.monotonic()
        return answer

    def is_usable(self) -> bool:
        """Return whether the connection works.

        PostgreSQL is not asked within TRUSTED_SECONDS of an answer: the socket says so if it has ended
        the connection since.
        """
        trusted = time.monotonic() - self._answered_at < TRUSTED_SECONDS
        if trusted and self.connection is not None and not self.connection.closed:
            poll = select.poll()
            poll.register(self.connection.fileno(), select.POLLIN)
            if not poll.poll(0):
                return True
        return bool(super().is_usable())


def _numbered(sql: str) -> str:
    """Return a statement with PostgreSQL's marks for parameters, $1 and so on, in the place of %s."""
    count = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal count
        if found[0] == "%%":
            return "%"
        count += 1
        return f"${count}"

    return _MARK.sub(mark, sql)
