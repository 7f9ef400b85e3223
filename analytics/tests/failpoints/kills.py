"""Kills at every commit: a flow runs in a child process, which dies by SIGKILL at one of its commits.

A commit is a COMMIT that ends a transaction with a write, or a write outside of any transaction. The
child dies right before or right after it. Each kill begins with the same rows: a copy of the SQLite
file, or a database from a template of PostgreSQL, made after the flow was prepared.
"""

import os
import re
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.db import connection, connections

Side = Literal["before", "after"]
WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Point:
    """The moment of a kill: before or after the commit with this number, counted from 1."""

    number: int
    side: Side
    label: str  # the tables that the commit writes

    def __str__(self) -> str:
        return f"{self.side} commit {self.number} ({self.label})"


class Commits:
    """Counts the commits of this process, and kills it at one of them."""

    def __init__(self, kill_at: Point | None = None) -> None:
        self.kill_at = kill_at
        self.labels: list[str] = []  # of the commits so far
        self._written: list[str] = []  # by the open transaction

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count the commits of the default connection while the block runs."""
        commit = connection._commit  # type: ignore[attr-defined]  # private

        def counted() -> Any:
            if not self._written:
                return commit()
            return self._pass(commit)

        connection._commit = counted  # type: ignore[attr-defined]
        try:
            with connection.execute_wrapper(self._execute):
                yield
        finally:
            del connection._commit  # type: ignore[attr-defined]

    def _execute(self, execute: Callable, sql: Any, params: Any, many: bool, context: dict) -> Any:
        verb = str(sql).split(maxsplit=1)[0]
        if verb in WRITES:
            table = re.search(r'"(\w+)"', str(sql))
            self._written.append(f"{verb.lower()} {table[1] if table else ''}")
            if not context["connection"].in_atomic_block:
                return self._pass(lambda: execute(sql, params, many, context))
        return execute(sql, params, many, context)

    def _pass(self, commit: Callable[[], Any]) -> Any:
        """Carry out one commit, and die before or after it if it is the one."""
        self.labels.append(", ".join(dict.fromkeys(self._written)))
        self._written = []
        is_it = self.kill_at is not None and self.kill_at.number == len(self.labels)
        if is_it and self.kill_at and self.kill_at.side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = commit()
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


class Snapshot:
    """The rows and files of one moment, to begin again from."""

    def __init__(self, folder: Path, *files: Path) -> None:
        """Copy the database, and the folders ``files`` into ``folder``."""
        connections.close_all()
        self._name = str(connection.settings_dict["NAME"])
        self._folder, self._files = folder, files
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number, path in enumerate(files):
            shutil.copytree(path, folder / str(number))
        if connection.vendor == "sqlite":
            shutil.copyfile(self._name, folder / "database")
        else:
            self._copy_database(self._name, self._template)

    @property
    def _template(self) -> str:
        return f"{self._name}_prepared"

    def restore(self) -> None:
        """Put the rows and files back."""
        connections.close_all()
        for number, path in enumerate(self._files):
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(self._folder / str(number), path)
        if connection.vendor == "sqlite":
            for suffix in ("-wal", "-shm"):  # left by a killed process
                Path(self._name + suffix).unlink(missing_ok=True)
            shutil.copyfile(self._folder / "database", self._name)
        else:
            self._copy_database(self._template, self._name)

    def forget(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if connection.vendor == "postgresql":
            with connection._nodb_cursor() as cursor:
                cursor.execute(f'DROP DATABASE IF EXISTS "{self._template}" WITH (FORCE)')

    def _copy_database(self, source: str, target: str) -> None:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
            cursor.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')


def count_commits(act: Callable[[], None]) -> list[str]:
    """Carry the flow out in this process; return the label of each of its commits."""
    commits = Commits()
    with commits.watched():
        act()
    return commits.labels


def die(act: Callable[[], None], point: Point) -> None:
    """Carry the flow out in a child process that is killed at the point.

    Fails if the child ends in another way.
    """
    connections.close_all()  # a connection must not be shared with the child
    child = os.fork()
    if child == 0:
        try:
            with Commits(point).watched():
                act()
        except BaseException:  # noqa: BLE001 - the child must never run the rest of the tests
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"The flow was not killed {point}: status {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL
