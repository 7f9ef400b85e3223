"""SQLite as a real installation sets it: several processes write, one is killed, one keeps the lock."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from config import env
from config.tests.test_env import GOOD

WRITERS, ROUNDS = 4, 100
WRITE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django; django.setup()
from django.db import connection, transaction
connection.ensure_connection()
print("ready", flush=True)
for number in range(int(sys.stdin.readline())):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT n FROM counter")
        (n,) = cursor.fetchone()
        cursor.execute("UPDATE counter SET n = %s", [n + 1])
    print(n + 1, flush=True)
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE counter (n INTEGER NOT NULL)")
        db.execute("INSERT INTO counter VALUES (0)")
        db.commit()
    return file


def python(program: str, file) -> subprocess.Popen[str]:
    """Start a program with the database of an installation."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=env.BASE_DIR,
        env={"DATA_DIR": str(file.parent), "DATABASE_URL": f"sqlite:///{file}", **GOOD},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def writer(file) -> subprocess.Popen[str]:
    """Start a process that is told a number of rounds, and in each adds one to the counter.

    It says each sum after its commit.
    """
    process = python(WRITE, file)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str], rounds: int) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{rounds}\n")
    process.stdin.flush()


def counter(file) -> int:
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("SELECT n FROM counter").fetchone()[0])


@pytest.mark.long
def test_processes_that_write_at_once_wait_for_each_other_and_lose_nothing(file):
    """Without transaction_mode=IMMEDIATE, most of them fail at once with "database is locked"."""
    writers = [writer(file) for _ in range(WRITERS)]
    for process in writers:
        begin(process, ROUNDS)
    errors = [process.communicate(timeout=120)[1] for process in writers]

    assert [process.returncode for process in writers] == [0] * WRITERS, errors
    assert counter(file) == WRITERS * ROUNDS


@pytest.mark.long
def test_a_killed_process_loses_no_commit_that_it_was_told_of(file):
    for kill in range(5):
        with writer(file) as process:
            begin(process, 1_000_000)
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(1 + 7 * kill)]
            process.kill()
            told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        assert counter(file) in {told[-1], told[-1] + 1}  # it may be killed before it says so


def test_each_commit_waits_for_the_disk_and_foreign_keys_hold(file):
    """What was acknowledged survives a power cut, as far as the disk keeps its promise."""
    ask = WRITE.partition("print(")[0] + (
        "with connection.cursor() as cursor:\n"
        "    for name in ('synchronous', 'journal_mode', 'foreign_keys', 'busy_timeout'):\n"
        "        print(cursor.execute(f'PRAGMA {name}').fetchone()[0])\n"
    )
    said, error = python(ask, file).communicate(timeout=60)

    assert said.split() == ["2", "wal", "1", "20000"], error  # 2 is FULL
