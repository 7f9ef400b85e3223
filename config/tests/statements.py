"""The statements of each test on SQLite, and the few tests that together send all of them to PostgreSQL.

`.ci/run` runs `make test` with STATEMENTS=<folder>: each process writes down which statements each of
its tests has sent, and whether the database refused them. `make test-postgres SHORT=1` with the same
folder then runs so few tests that each statement of the others is sent by at least one, and besides all
that have the mark ``postgres`` or ``twice``, share rows between threads, or have not run on SQLite. A
statement is its text without values: what tests repeat with other values has been tried on SQLite.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from config.sqlite3.base import DatabaseWrapper

FOLDER = os.environ.get("STATEMENTS", "")
ALWAYS = {"postgres", "twice"}
RUN_PREPARED = DatabaseWrapper.run_prepared
# A list of values is one statement, however many there are; savepoints have numbers.
VALUES = re.compile(r"%s(?:, %s)+|\?(?:, \?)+|\d+")
A_TEST = 30  # what a test costs beside its statements, in statements

_sent: dict[str, int] | None = (
    None  # the statements of the running test, and how often each was sent
)
_told: dict[str, dict[str, int]] = {}  # those of every test of this process


@lru_cache(maxsize=10_000)
def _statement(text: str, refused: str) -> str:
    """Return a short name for a statement without its values, and for how it was refused."""
    return sha256(f"{refused} {VALUES.sub('?', text)}".encode()).hexdigest()[:16]


def _note(execute: Callable, sql: Any, params: Any, many: bool, context: dict) -> Any:
    refused = ""
    try:
        return execute(sql, params, many, context)
    except Exception as error:
        refused = type(error).__name__
        raise
    finally:
        if _sent is not None:
            statement = _statement(str(sql), refused)
            _sent[statement] = _sent.get(statement, 0) + 1


def _listen(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _note not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note)


def _run_prepared(connection: DatabaseWrapper, sql: str, params: Any) -> Any:
    """Run a prepared statement as without us: our own wrapper is no reason for an ordinary cursor."""
    wrappers = connection.execute_wrappers
    connection.execute_wrappers = [each for each in wrappers if each is not _note]
    try:
        if connection.execute_wrappers or connection.queries_logged:
            return None  # our wrapper notes it
        return _note(
            lambda *_: RUN_PREPARED(connection, sql, params), sql, params, many=False, context={}
        )
    finally:
        connection.execute_wrappers = wrappers


def pytest_configure(config: pytest.Config) -> None:
    if FOLDER and connection.vendor == "sqlite":
        Path(FOLDER).mkdir(parents=True, exist_ok=True)
        connection_created.connect(_listen, dispatch_uid=__name__)
        DatabaseWrapper.run_prepared = _run_prepared  # type: ignore[assignment, method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _sent
    _sent = _told[item.nodeid] = {}
    try:
        return (yield)
    finally:
        _sent = None


def pytest_sessionfinish(session: pytest.Session) -> None:
    if FOLDER and connection.vendor == "sqlite":
        (Path(FOLDER) / f"{os.getpid()}.json").write_text(json.dumps(_told))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, leave out the tests whose statements others send, after the marks have chosen."""
    if not FOLDER or connection.vendor == "sqlite":
        return
    told: dict[str, dict[str, int]] = {}
    for path in sorted(Path(FOLDER).glob("*.json")):
        told |= json.loads(path.read_text())
    if not told:
        raise pytest.UsageError(f"No test has written its statements into STATEMENTS={FOLDER}.")
    kept = {
        item.nodeid
        for item in items
        if item.nodeid not in told
        or "transactional_db" in getattr(item, "fixturenames", ())
        or _shares_rows(item)
        or ALWAYS & {mark.name for mark in item.iter_markers()}
    }
    optional = {item.nodeid: told[item.nodeid] for item in items if item.nodeid not in kept}
    sent = {statement for test in kept for statement in told.get(test, ())}
    kept |= covering(optional, sent)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = [item for item in items if item.nodeid in kept]


def _shares_rows(item: pytest.Item) -> bool:
    """Return whether other threads and processes see the rows of the test."""
    mark = item.get_closest_marker("django_db")
    return bool(mark and mark.kwargs.get("transaction"))


def covering(tests: dict[str, dict[str, int]], sent: set[str]) -> set[str]:
    """Return tests that together send every statement that is not ``sent`` yet, cheap ones first.

    Greedy: the next one sends most new statements for what it costs.
    """
    new = {test: statements.keys() - sent for test, statements in tests.items()}
    cost = {test: A_TEST + sum(statements.values()) for test, statements in tests.items()}
    by_statement: dict[str, list[str]] = {}
    for test, statements in new.items():
        for statement in statements:
            by_statement.setdefault(statement, []).append(test)
    left, chosen = {test: len(statements) for test, statements in new.items() if statements}, set()
    while left:
        best = max(left, key=lambda test: (left[test] / cost[test], test))
        chosen.add(best)
        for statement in list(new[best]):
            for test in by_statement.pop(statement, ()):
                new[test].discard(statement)
                left[test] -= 1
                if not left[test]:
                    del left[test]
    return chosen
