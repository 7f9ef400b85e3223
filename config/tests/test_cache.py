"""The cache in a local file: counters are exact when several processes count."""

import subprocess
import sys
import time

import pytest

from config.cache import SQLiteCache
from config.tests.threads import at_once

COUNT = """
import sys
from config.cache import SQLiteCache
cache = SQLiteCache(sys.argv[1], {})
cache.add("hits", 0, 60)
for _ in range(200):
    cache.incr("hits")
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "cache.sqlite3")


@pytest.fixture
def local(path):
    return SQLiteCache(path, {})


def test_four_processes_lose_no_count(path, local, settings):
    command = [sys.executable, "-c", COUNT, path]
    runs = [subprocess.Popen(command, cwd=settings.BASE_DIR) for _ in range(4)]

    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0, 0]
    assert local.get("hits") == 800


def test_threads_lose_no_count(local):
    local.add("hits", 0, 60)

    at_once(8, lambda _: [local.incr("hits") for _ in range(50)])

    assert local.get("hits") == 400


def test_only_one_of_many_concurrent_adds_succeeds(local):
    assert sorted(at_once(8, lambda number: local.add("key", number, 60))) == [False] * 7 + [True]


def test_an_expired_value_is_gone(local):
    local.set("gone", 1, timeout=-1)
    local.set("zero", 1, timeout=0)

    assert (local.get("gone"), local.get("zero", "default")) == (None, "default")
    assert not local.touch("gone", 60)
    with pytest.raises(ValueError, match="gone"):
        local.incr("gone")
    assert local.add("gone", 2, 60)
    assert local.get("gone") == 2


def test_a_live_value_stays(local):
    local.set("one", {"a": [1, "é", None]}, timeout=60)
    local.set("ever", 1, timeout=None)

    assert local.get("one") == {"a": [1, "é", None]}
    assert not local.add("one", 2, 60)
    assert local.touch("one", 120)
    assert local.incr("ever", 4) == 5
    assert local.delete("one")
    assert not local.delete("one")
    assert local.get("one") is None
    local.clear()
    assert local.get("ever") is None


def test_counting_does_not_extend_the_timeout(local):
    local.add("hits", 0, 60)
    before = local._db().execute("SELECT expires FROM cache").fetchone()

    local.incr("hits")

    assert local._db().execute("SELECT expires FROM cache").fetchone() == before
    assert before[0] > time.time()


def test_expired_values_are_deleted_from_the_file(local):
    local.set("gone", 1, timeout=-1)
    local._next_cull = 0.0
    local.set("new", 1, timeout=60)

    rows = local._db().execute("SELECT key FROM cache").fetchall()
    assert rows == [(":1:new",)]
