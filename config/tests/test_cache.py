"""The cache in a local file: counters are exact when several processes count."""

import runpy
import socket
import subprocess
import sys
import time

import pytest

from config import cache, env
from config.cache import ForgivingRedisCache, SQLiteCache
from config.tests.threads import at_once

COUNT = """
import sys
from config.cache import SQLiteCache
cache = SQLiteCache(sys.argv[1], {})
for _ in range(200):
    cache.count("hits", 60)
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


def test_a_count_begins_at_one_and_again_when_it_has_expired(local):
    assert [local.count("hits", 60) for _ in range(3)] == [1, 2, 3]
    assert (local.get("hits"), local.incr("hits")) == (3, 4)
    local.set("old", 7, timeout=-1)
    assert [local.count("old", 60) for _ in range(2)] == [1, 2]


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


@pytest.fixture
def _asked_at_once(monkeypatch):
    monkeypatch.setattr(SQLiteCache, "_asked_again_at", 0.0)
    monkeypatch.setattr(cache, "PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("_asked_at_once")
def test_a_cache_that_is_away_counts_nothing_and_comes_back(tmp_path):
    folder = tmp_path / "gone"
    away = SQLiteCache(str(folder / "cache.sqlite3"), {})

    assert not away.add("hits", 0, 60)
    assert away.incr("hits") is None
    assert away.count("hits", 60) is None
    assert away.get("hits") is None
    away.set("hits", 1)
    folder.mkdir()
    assert away.add("hits", 0, 60)
    assert away.incr("hits") == 1


@pytest.mark.usefixtures("_asked_at_once")
def test_a_damaged_file_is_replaced(path, local):
    """A power cut may damage it; sign-ins would be refused until somebody deletes it."""
    local.add("hits", 0, 60)
    local._local.db.close()
    with open(path, "wb") as file:
        file.write(b"this is no database" * 1000)

    fresh = SQLiteCache(path, {})
    assert not fresh.add("hits", 0, 60)
    assert fresh.add("hits", 0, 60)
    assert fresh.incr("hits") == 1


@pytest.mark.usefixtures("_asked_at_once")
def test_a_healthy_file_is_kept_after_an_error(local):
    local.add("hits", 0, 60)
    local._local.db.close()  # every call of this thread fails now

    assert local.incr("hits") is None
    assert local.incr("hits") == 1


def test_a_cache_that_is_away_is_asked_again_after_a_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(SQLiteCache, "_asked_again_at", 0.0)
    away = SQLiteCache(str(tmp_path / "gone" / "cache.sqlite3"), {})
    away.add("hits", 0, 60)
    (tmp_path / "gone").mkdir()

    assert not away.add("hits", 0, 60)
    monkeypatch.setattr(SQLiteCache, "_asked_again_at", time.monotonic())
    assert away.add("hits", 0, 60)


@pytest.fixture(params=["refuses", "hangs"])
def redis_url(request, monkeypatch):
    """The address of a Redis that refuses connections, or takes them and never answers."""
    monkeypatch.setattr(ForgivingRedisCache, "_asked_again_at", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        if request.param == "refuses":
            server.close()
        yield url


def test_a_redis_that_is_away_or_hangs_counts_nothing_and_delays_little(redis_url, monkeypatch):
    settings = configured(monkeypatch, redis_url)
    away = ForgivingRedisCache(settings["LOCATION"], {"OPTIONS": settings["OPTIONS"]})

    begun = time.monotonic()
    assert not away.add("hits", 0, 60)
    assert time.monotonic() - begun < 10  # a second or less, and what a busy machine adds
    begun = time.monotonic()  # from now on it is not asked, until the pause is over
    assert [away.incr("hits") for _ in range(100)] == [None] * 100
    assert [away.count("hits", 60) for _ in range(100)] == [None] * 100
    assert away.get("hits") is None
    assert time.monotonic() - begun < 10


def configured(monkeypatch, url: str) -> dict:
    """Return the cache of an installation with this CACHE_URL."""
    monkeypatch.setenv("CACHE_URL", url)
    values = runpy.run_path(str(env.BASE_DIR / "config" / "settings.py"))
    return dict(values["CACHES"]["default"])
