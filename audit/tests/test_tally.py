"""Whatever a stranger sends, the log grows by a bounded number of rows, and every request is counted."""

import itertools
import random
import string
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit import requests, tally
from audit.requests import ApiRequest
from audit.tests.kit import START, call
from config.tests import cases

MINUTE = 60 * 10**9


class Log:
    """The rows that a process would have stored."""

    def __init__(self):
        self.tally = tally.Tally()
        self.listed: list[ApiRequest] = []
        self.counted: dict[int, ApiRequest] = {}

    def take(self, **changes):
        row = self.tally.take(call(**changes))
        if row is not None:
            self.listed.append(row)

    def store(self):
        self.counted |= {row.number: row for row in self.tally.changed()}

    @property
    def rows(self) -> int:
        self.store()
        return len(self.listed) + len(self.counted)

    @property
    def requests(self) -> int:
        self.store()
        return len(self.listed) + sum(row.count or 0 for row in self.counted.values())

    @property
    def callers(self) -> int:
        self.store()
        return len({row.caller_id for row in [*self.listed, *self.counted.values()]})


@pytest.fixture
def log(clock):
    return Log()


def text(length: int = 20) -> str:
    return "".join(random.choices(string.ascii_letters, k=length))  # noqa: S311 - not for secrets


USER = uuid.uuid4()


@pytest.mark.parametrize(
    ("caller", "listed"),
    [
        ({"status": 200}, 10),
        ({"status": 404}, 5),
        ({"status": 503}, 5),
        ({"actor_id": USER}, 30),
        ({"actor_id": USER, "status": 403}, 5),
    ],
)
def test_the_first_requests_of_a_minute_are_listed(log, clock, caller, listed):
    for _ in range(50):
        log.take(**caller)
    assert len(log.listed) == listed
    assert log.requests == 50
    assert log.rows == listed + 1

    clock.now += MINUTE
    for _ in range(50):
        log.take(**caller)
    assert len(log.listed) == 2 * listed
    assert log.requests == 100
    assert log.rows == 2 * listed + 1  # the count goes on, in its row for the hour


def test_a_counted_row_says_what_when_and_how_often(log, clock):
    for _ in range(8):
        log.take(status=404, path=f"/api/v1/{text()}", route="/api/*", ip="192.0.2.9")
        clock.now += 10**9

    log.store()
    (row,) = log.counted.values()
    assert (row.count, row.status, row.method, row.path) == (3, 404, "GET", "/api/*")
    assert row.ip == "192.0.2.9"
    assert row.until is not None
    assert timedelta(seconds=2) < row.until - row.at < timedelta(seconds=3)
    assert row.data == {"count": 3, "until": row.until.isoformat().replace("+00:00", "Z")}


FLOODS: dict[str, Callable[[], dict[str, Any]]] = {
    "paths": lambda: {"path": f"/api/v1/{text()}", "status": 404},
    "user agents": lambda: {"user_agent": text(200), "status": 404},
    "addresses of one network": lambda: {
        "ip": f"2001:db8::{random.randrange(2**16):x}",  # noqa: S311
        "status": 401,
    },
    "methods": lambda: {"method": text(8), "status": 405},
    "statuses": lambda: {"status": random.choice([400, 401, 403, 404, 405, 408, 413, 429, 431])},  # noqa: S311
    "good answers": lambda: {"user_agent": text(200), "path": f"/api/v1/{text()}"},
    "heartbeats": lambda: {"is_frequent": True, "user_agent": text(200)},
    "garbage for an address": lambda: {"ip": None, "user_agent": text(200), "status": 404},
}


@pytest.mark.parametrize("flood", cases.first(3, [*FLOODS]))
def test_a_flood_of_one_network_makes_few_rows(log, clock, flood):
    """An hour with 300 requests a minute."""
    for _ in range(60):
        for _ in range(300):
            log.take(**FLOODS[flood]())
        clock.now += MINUTE

    assert log.requests == 60 * 300
    assert log.rows <= 61 * 10 + 2 * tally.ROUTES_MAX + 20
    assert log.callers <= 2 * (tally.CALLERS_MAX + 1)  # the hour begins twice in this time


def test_a_flood_of_all_networks_makes_a_bounded_number_of_rows(log, clock):
    for minute in range(20):
        for number in range(1000):
            network = f"2001:db8:{minute:x}:{number:x}"
            log.take(ip=f"{network}::1", status=404, path=f"/api/v1/{text()}", user_agent=text())
        clock.now += MINUTE

    assert log.requests == 20_000
    assert log.rows <= 20 * 10 + tally.COUNTED_MAX[False] + 1
    assert sum(row.ip is None for row in log.counted.values()) == 1  # all others together


def test_users_are_not_pushed_out_by_strangers(log):
    for number in range(2000):
        log.take(ip=f"198.51.{number // 250}.{number % 250}", status=404)
    for number in range(300):
        log.take(actor_id=uuid.UUID(int=number))
        log.take(actor_id=uuid.UUID(int=number), is_frequent=True)

    assert sum(row.actor_id is not None for row in log.listed) == 300
    log.store()
    assert sum(row.actor_id is not None for row in log.counted.values()) == 300


def test_two_processes_never_give_a_row_the_same_number(clock):
    logs = [Log(), Log()]
    logs[0].tally._clock._tag, logs[1].tally._clock._tag = 5, 6
    for log, number in itertools.product(logs, range(50)):
        clock.now = START + number
        log.take(actor_id=uuid.UUID(int=number))
    for log in logs:
        log.store()

    numbers = [row.number for log in logs for row in [*log.listed, *log.counted.values()]]
    assert len(set(numbers)) == len(numbers) == 100


def test_threads_lose_no_count():
    log = Log()

    def work():
        for _ in range(500):
            log.tally.take(call(is_frequent=True))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        log.store()
    for thread in threads:
        thread.join()

    assert log.requests == 4000
    assert log.rows <= 2  # two if the hour ended just now


def test_a_clock_that_is_set_back_gives_new_numbers(clock):
    source = requests.Clock()
    numbers = [source.number() for _ in range(10)]
    clock.now -= 3600 * 10**9
    numbers += [source.number() for _ in range(10)]

    assert len(set(numbers)) == 20
    assert requests.time_of(numbers[-1]) < requests.time_of(numbers[0])


def test_public_ids_are_uuid7_in_the_order_of_the_numbers():
    first = START // 1000 << requests.TAG_BITS
    numbers = [first + step for step in (0, 1, 511, 512, 2047, 2048, 999 << 11, 1000 << 11)]
    ids = [requests.public_id(number) for number in numbers]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {pk.version for pk in ids} == {7}
    assert {pk.variant for pk in ids} == {uuid.RFC_4122}
    assert ids[0].int >> 80 == START // 10**6
