"""Readiness: what it costs, and what it says when a part is away or hangs."""

import threading
import time

import pytest
from django.db import OperationalError

from config import database, health
from config.signals import health_checked
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/health/ready"


@pytest.fixture(autouse=True)
def new(monkeypatch, settings):
    """Nothing is known yet. The machine may be busy, so that parts may take their time."""
    settings.READY_SECONDS = 60
    monkeypatch.setattr(health, "readiness", health.Readiness())
    monkeypatch.setattr(health, "PROBE_SECONDS", 30.0)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The parts that are asked, in order."""
    parts: list[str] = []
    for name, ask in health.REQUIRED.items():

        def noted(name=name, ask=ask):
            parts.append(name)
            return ask()

        monkeypatch.setitem(health.REQUIRED, name, noted)
    return parts


@pytest.fixture
def hang(monkeypatch):
    """Let a part hang until the end of the test. It is given up after a moment."""
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.5)
    end = threading.Event()

    def begin(name: str, begun: list) -> None:
        def hang():
            begun.append(name)
            end.wait(30)

        monkeypatch.setitem(health.REQUIRED, name, hang)

    yield begin
    end.set()


def test_many_calls_ask_each_part_once(client, asked):
    answers = at_once(20, lambda _: type(client)().get(URL).status_code)

    assert set(answers) == {200}
    assert sorted(asked) == ["cache", "database"]


def test_a_state_that_is_old_is_asked_for_again(client, asked, settings):
    client.get(URL)
    settings.READY_SECONDS = 0
    client.get(URL)

    assert len(asked) == 4


@pytest.mark.parametrize("name", ["database", "cache"])
def test_a_part_that_hangs_is_unavailable_after_a_moment_and_holds_one_thread(
    client, settings, hang, name
):
    settings.READY_SECONDS = 0
    begun: list[str] = []
    hang(name, begun)
    times = []
    for _ in range(4):
        began = time.monotonic()
        answer = client.get(URL)
        times.append(time.monotonic() - began)
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert answer.json()["status"] == "unavailable"
        assert answer.json()["parts"][name] == "unavailable"

    assert begun == [name]
    assert times[0] >= 0.5
    assert min(times[1:]) < 0.4  # the hanging part is not waited for again


def test_a_database_that_is_away_is_unavailable_and_named_as_such(client, monkeypatch):
    def away():
        raise OperationalError("connection refused")

    monkeypatch.setattr(database, "pending_migrations", away)
    answer = client.get(URL)

    assert answer.status_code == 503
    assert answer.json()["parts"]["database"] == "unavailable"


def test_a_database_of_another_version_is_not_ready(client, monkeypatch):
    found = database._migrations()
    monkeypatch.setattr(database, "_migrations", lambda: found | {("videos", "9999_next")})

    assert client.get(URL).json()["parts"]["database"] == "migrations pending"


def test_an_app_that_fails_or_hangs_is_left_out(client, settings, monkeypatch):
    settings.READY_SECONDS = 0
    monkeypatch.setattr(health, "PROBE_SECONDS", 3.0)
    end = threading.Event()

    def fails(**kwargs):
        raise RuntimeError("broken")

    def hangs(**kwargs):
        end.wait(30)

    for receiver in (fails, hangs):
        health_checked.connect(receiver)
        try:
            answer = client.get(URL)
        finally:
            health_checked.disconnect(receiver)
        assert answer.status_code == 200
        assert answer.json()["status"] in {"ok", "degraded"}
    end.set()


def test_a_process_without_free_threads_answers_503(client, monkeypatch):
    def no_thread(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)

    answer = client.get(URL)
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "parts": {}})


@pytest.mark.parametrize("path", ["/health/ready", "/health/live"])
def test_only_reading_is_allowed(client, path):
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405
    assert client.get(path)["Cache-Control"] == "no-store"
