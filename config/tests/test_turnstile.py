"""The queue of writers on SQLite: one at a time, in order, and nobody waits for one who is gone."""

import fcntl
import gc
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from config import env, env_urls, turnstile
from config.cache import SQLiteCache
from config.sqlite3.base import DatabaseWrapper

HOLD = """
import sys
from pathlib import Path
from config.turnstile import Turnstile
queue = Turnstile(Path(sys.argv[1]))
print(queue.enter(), flush=True)
sys.stdin.readline()
"""
PIPES: dict[str, Any] = {
    "cwd": env.BASE_DIR, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True,
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db.sqlite3-turn"


@pytest.fixture
def queue(path):
    return turnstile.Turnstile(path)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(turnstile, "PATIENCE", 0.2)


def other_process(path) -> subprocess.Popen[str]:
    """Start a process that has the turn until it gets a line or dies."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], **PIPES)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def is_free(queue: turnstile.Turnstile) -> bool:
    entered = queue.enter()
    if entered:
        queue.leave()
    return entered


def test_a_thread_waits_for_the_turn_of_another_one(queue):
    said = []
    assert queue.enter()
    waiting = threading.Thread(target=lambda: said.append(is_free(queue)))
    waiting.start()
    waiting.join(0.1)
    assert said == []

    queue.leave()

    waiting.join(5)
    assert said == [True]


@pytest.mark.usefixtures("impatient")
def test_a_writer_goes_on_without_the_turn_when_it_lasts_too_long(queue, path):
    with other_process(path) as process:
        begun = time.monotonic()
        assert not queue.enter()
        assert time.monotonic() - begun < 3
        process.communicate("\n")
    assert is_free(queue)


def test_a_killed_process_gives_its_turn_back(queue, path):
    with other_process(path) as process:
        process.kill()
        process.wait()
    assert is_free(queue)


@pytest.mark.usefixtures("impatient")
def test_nobody_overtakes_the_process_that_is_next(queue, path):
    """Else a busy process would take its own turn again and again."""
    assert queue.enter()
    with subprocess.Popen([sys.executable, "-c", HOLD, path], **PIPES) as other:
        assert other.stdout is not None
        while not is_taken(queue, turnstile.NEXT):
            time.sleep(0.01)

        queue.leave()
        queue.enter()  # at once: only the turn itself is free now, and it is the other one's

        assert other.stdout.readline() == "True\n"
        assert is_taken(queue, turnstile.HOLDER)
        other.communicate("\n")


def test_a_process_may_take_its_turn_again_for_a_moment(queue, monkeypatch):
    """Else the file would stand idle until the next process has woken up."""
    assert is_free(queue)
    monkeypatch.setattr(queue, "_locks", lambda place, deadline: False)  # another one is next

    queue._since = time.monotonic()
    assert is_free(queue)
    queue._since = time.monotonic() - turnstile.WINDOW
    assert not queue.enter()


def is_taken(queue: turnstile.Turnstile, place: int) -> bool:
    """Return whether another process has a place in the queue."""
    taken = not queue._locks(place, deadline=0)
    if not taken:
        fcntl.lockf(queue._file, fcntl.LOCK_UN, 1, place)
    return taken


def test_a_folder_that_is_away_stops_nobody(tmp_path):
    assert not turnstile.Turnstile(tmp_path / "gone" / "db-turn").enter()


def test_a_database_has_one_turnstile_in_a_process(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)

    assert turnstile.of(str(tmp_path / "a")) is turnstile.of(str(tmp_path / "link" / "a"))


def test_a_child_process_does_not_have_the_turn_of_its_parent(queue, path, monkeypatch):
    monkeypatch.setattr(turnstile, "_all", [queue])
    monkeypatch.setattr(turnstile, "PATIENCE", 0.2)
    assert queue.enter()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(10 + queue.enter())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
    queue.leave()
    assert is_free(queue)


# --- the connections --------------------------------------------------------------------------------


@pytest.fixture
def _unblocked(django_db_blocker):
    """The files of these tests are their own."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def own(tmp_path, settings, monkeypatch, _unblocked):
    """A connection to a file of its own, as an installation has it."""
    monkeypatch.setenv("A_URL", f"sqlite:///{tmp_path / 'own.sqlite3'}")
    given = {**settings.DATABASES["default"], **env_urls.database("A_URL", "")}
    connection = DatabaseWrapper({**given, "TIME_ZONE": None}, alias="own")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (n INTEGER NOT NULL)")
        cursor.execute("INSERT INTO counter VALUES (0)")
    yield connection
    connection.close()


@pytest.fixture
def turn(own):
    return turnstile.of(own.settings_dict["NAME"])


def taken(turn: turnstile.Turnstile) -> bool:
    return turn._of_process.locked()


def execute(own: BaseDatabaseWrapper, sql: str) -> list:
    with own.cursor() as cursor:
        found: list = cursor.execute(sql).fetchall()
        return found


@pytest.fixture
def atomic(own, monkeypatch):
    monkeypatch.setattr(transaction, "get_connection", lambda using=None: own)
    return transaction.atomic


def test_a_transaction_has_the_turn_until_its_end(own, turn, atomic):
    with atomic():
        assert taken(turn)
        with atomic():
            execute(own, "UPDATE counter SET n = 1")
        assert taken(turn)
    assert not taken(turn)
    with suppress(ZeroDivisionError), atomic():
        execute(own, "UPDATE counter SET n = 2")
        raise ZeroDivisionError
    assert not taken(turn)
    assert execute(own, "SELECT n FROM counter") == [(1,)]


def test_a_closed_connection_passes_its_turn_on(own, turn):
    own._start_transaction_under_autocommit()
    assert taken(turn)

    own.close()

    assert not taken(turn)


def test_a_connection_that_is_forgotten_passes_its_turn_on(own, turn):
    another = DatabaseWrapper(own.settings_dict, alias="own")
    another.ensure_connection()
    another._start_transaction_under_autocommit()
    assert taken(turn)

    another.connection.close()
    del another
    gc.collect()

    assert not taken(turn)


@pytest.fixture
def entered(turn, monkeypatch):
    """A list that grows by one with each turn that is asked for."""
    calls: list[int] = []
    enter = turn.enter

    def entering():
        calls.append(1)
        return enter()

    monkeypatch.setattr(turn, "enter", entering)
    return calls


def test_a_statement_that_writes_has_the_turn(own, turn, entered):
    execute(own, "SELECT n FROM counter")
    assert entered == []
    execute(own, "UPDATE counter SET n = 3")

    assert (entered, taken(turn)) == ([1], False)
    with pytest.raises(DatabaseError):
        execute(own, "UPDATE nothing SET n = 3")
    assert not taken(turn)


def test_a_statement_of_the_driver_has_the_turn_and_the_errors_of_a_cursor(own, turn, entered):
    assert own.run_prepared("SELECT n FROM counter WHERE n < %s", [0]) == ([], -1)
    assert entered == []
    assert own.run_prepared("UPDATE counter SET n = %s", [3]) == ([], 1)
    assert (entered, taken(turn)) == ([1], False)
    with pytest.raises(DatabaseError):
        own.run_prepared("UPDATE nothing SET n = %s", [4])
    assert not taken(turn)
    with own.execute_wrapper(lambda execute, *given: execute(*given)):
        assert own.run_prepared("UPDATE counter SET n = %s", [5]) is None

    assert execute(own, "SELECT n FROM counter") == [(3,)]


def test_a_failed_transaction_takes_no_more_statements_of_the_driver(own, atomic):
    def go_on():
        with atomic():
            own.run_prepared("UPDATE counter SET n = %s", [6])
            own.needs_rollback = True
            own.run_prepared("SELECT n FROM counter WHERE n < %s", [9])

    with pytest.raises(DatabaseError):
        go_on()

    assert execute(own, "SELECT n FROM counter") != [(6,)]


@pytest.mark.usefixtures("impatient")
def test_the_lock_of_the_database_holds_without_the_turn(own, turn, atomic):
    assert turn.enter()
    with atomic():
        execute(own, "UPDATE counter SET n = 4")
    turn.leave()
    assert execute(own, "SELECT n FROM counter") == [(4,)]


@pytest.mark.usefixtures("_unblocked")
def test_a_database_in_memory_needs_no_queue(settings):
    given = {**settings.DATABASES["default"], "NAME": ":memory:", "OPTIONS": {}, "TIME_ZONE": None}
    connection = DatabaseWrapper(given, alias="own")
    connection.ensure_connection()
    assert connection.connection.queue is None
    BaseDatabaseWrapper.close(connection)


def test_the_cache_counts_in_its_turn(tmp_path):
    location = str(tmp_path / "cache.sqlite3")
    cache, queue = SQLiteCache(location, {}), turnstile.of(location)
    assert queue.enter()
    counting = threading.Thread(target=lambda: cache.count("hits", 60))
    counting.start()
    counting.join(0.1)
    assert counting.is_alive()

    queue.leave()

    counting.join(5)
    assert cache.get("hits") == 1
