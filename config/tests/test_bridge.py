"""Lanes: a bounded queue before the threads of Django, and a bounded time in it."""

import asyncio
import gc
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.utils.module_loading import import_string

from config import bridge, lanes
from config.bodies import BodyRefused
from config.lanes import Lane, Lanes

LANES: Lanes = import_string("config.asgi.LANES")


def answers_of(lane: Lane, *rounds: tuple[int, float]) -> list[list[object]]:
    """Ask the lane so many times at once, for each round; its threads go on after so many seconds."""
    release = threading.Event()

    def work(environ: dict) -> str:
        assert release.wait(30)
        return "done"

    async def one_round(count: int, after: float) -> list[object]:
        release.clear()
        asyncio.get_running_loop().call_later(after, release.set)
        calls = (lane.run(work, {}) for _ in range(count))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    async def run() -> list[list[object]]:
        return [await one_round(*one) for one in rounds]

    return asyncio.run(run())


def refused(answers: list[object]) -> int:
    statuses = [answer.status for answer in answers if isinstance(answer, BodyRefused)]
    assert set(statuses) <= {503}
    assert answers.count("done") + len(statuses) == len(answers)
    return len(statuses)


def test_a_full_queue_refuses_at_once():
    first, second = answers_of(Lane("test", threads=2, queue=3), (9, 0.3), (5, 0))
    assert (refused(first), refused(second)) == (4, 0)


def test_nobody_waits_long_for_a_thread(monkeypatch):
    """Seen once: 200 people at once; some waited ten seconds for a page, and nobody was refused."""
    monkeypatch.setattr(lanes, "QUEUE_SECONDS", 0.1)
    first, second = answers_of(Lane("test", threads=2, queue=10), (7, 0.5), (7, 0))
    assert (refused(first), refused(second)) == (5, 0)


def at_the_same_time(lane: Lane, *seconds: float) -> int:
    """Run requests of such lengths; return how many ran at once at most."""
    running, most, lock = 0, 0, threading.Lock()

    def work(environ: dict) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(environ["seconds"])
        with lock:
            running -= 1

    async def run() -> None:
        await asyncio.gather(*(lane.run(work, {"seconds": each}) for each in seconds))

    asyncio.run(run())
    return most


def test_a_lane_runs_one_quick_request_after_the_other(monkeypatch):
    """Several threads that compute answer fewer requests a second than one."""
    monkeypatch.setattr(lanes, "SLOW_SECONDS", 5.0)
    lane = Lane("test", threads=4, queue=50, at_once=1)

    assert at_the_same_time(lane, *[0.001] * 30) == 1
    assert at_the_same_time(Lane("test", threads=4, queue=50), *[0.05] * 30) == 4
    for wished, allowed in ((2, 2), (9, 4)):
        lane.let(wished)
        assert at_the_same_time(lane, *[0.05] * 30) == allowed


def test_others_go_on_beside_slow_requests():
    lane = Lane("test", threads=4, queue=50, at_once=1)
    for _ in range(2):  # after the slow ones the lane is as before
        assert at_the_same_time(lane, 1.0, *[0.001] * 20) >= 2
        end = time.monotonic() + 10
        while lane._workers and time.monotonic() < end:  # the last one ends after its answer
            time.sleep(0.01)
        assert lane._workers == set()


def test_slow_requests_have_no_more_threads_than_the_lane():
    lane = Lane("test", threads=3, queue=50, at_once=1)
    assert at_the_same_time(lane, *[0.15] * 9) == 3


def test_a_client_that_goes_takes_its_request_out_of_the_queue():
    done: list[object] = []

    async def run() -> int:
        lane = Lane("test", threads=1, queue=5)
        first = asyncio.create_task(lane.run(lambda _: time.sleep(0.2), {}))
        await asyncio.sleep(0)
        gone = asyncio.create_task(lane.run(done.append, {}))
        await asyncio.sleep(0)
        gone.cancel()
        await first
        await lane.run(lambda _: None, {})
        return lane._room

    assert asyncio.run(run()) == 6
    assert done == []


def test_an_error_of_the_work_reaches_the_caller():
    async def run() -> None:
        await Lane("test", threads=1, queue=5).run(lambda _: 1 // 0, {})

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("POST", "/api/v1/auth/login/", LANES.passwords),
        ("POST", "/api/v1/auth/password", LANES.passwords),
        ("POST", "/api/v1/auth/password/reset", LANES.passwords),
        ("PUT", "/api/v1/auth/email", LANES.passwords),
        ("DELETE", "/api/v1/auth/me", LANES.passwords),
        ("PATCH", "/api/v1/auth/me", LANES.writes),
        ("GET", "/api/v1/auth/me/export", LANES.reads),
        ("POST", "/api/v1/auth/password/forgot", LANES.writes),
        ("POST", "/api/v1/auth/email/verify", LANES.writes),
        ("POST", "/admin/login/", LANES.passwords),
        ("POST", "/admin/password_change/", LANES.passwords),
        ("POST", "/admin/accounts/user/019a/password/", LANES.passwords),
        ("POST", "/admin/accounts/user/add/", LANES.passwords),
        ("GET", "/admin/password_change/", LANES.reads),
        ("POST", "/admin/accounts/user/019a/change/", LANES.writes),
        ("POST", "/api/v1/videos/", LANES.writes),
        ("POST", "/api/v1/payments/orders/019a/refund", LANES.pauses),
        ("POST", "/api/v1/payments/orders/019a/refund/", LANES.pauses),
        ("POST", "/api/v1/payments/subscription/change", LANES.pauses),
        ("POST", "/api/v1/payments/orders/019a/cancel", LANES.writes),
        ("POST", "/api/v1/uploads/019a/complete", LANES.far),
        ("POST", "/api/v1/uploads/019a/parts", LANES.writes),
        ("GET", "/api/v1/stream/019a2b3c-0000-7000-8000-000000000000", LANES.reads),
        ("GET", "/api/v1/stream/play/x", LANES.writes),
    ],
)
def test_each_request_has_its_lane(method, path, lane):
    assert LANES.of({"method": method, "path": path}) is lane


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
def test_the_threads_of_a_nice_lane_give_way_and_others_do_not():
    def priority(environ: dict) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def run() -> list[int]:
        lanes = (Lane("test", threads=1, queue=1, nice=nice) for nice in (7, 0))
        return [await lane.run(priority, {}) for lane in lanes]

    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert asyncio.run(run()) == [max(7, usual), usual]


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
def test_a_nice_lane_takes_no_higher_priority_than_the_process_has():
    """Only root may, so that every request failed under `nice` as another user."""

    def started_with_nice() -> int:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, 19)
        lanes._be_nice(7)
        return os.getpriority(os.PRIO_PROCESS, thread)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(started_with_nice).result() == 19


@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("GET", "/api/v1/videos/", "reads"),
        ("HEAD", "/", "reads"),
        ("GET", "/api/v1/stream/play/x", "writes"),  # starts a session
        ("PUT", "/api/v1/videos/x", "writes"),
        ("POST", "/admin/login/", "passwords"),
        ("POST", "/api/v1/auth/login", "passwords"),
    ],
)
def test_the_lane_of_a_request(method, path, lane):
    scope = {"method": method, "path": path}
    assert LANES.of(scope) is getattr(LANES, lane)


def sent_by(django) -> list[dict]:
    """Return the messages with which the bridge answers one GET."""
    messages: list[dict] = []

    async def send(message: dict) -> None:
        messages.append(message)

    async def run() -> None:
        lane = Lane("test", threads=1, queue=1)
        lanes = Lanes(passwords=lane, writes=lane, reads=lane)
        await bridge.Bridge(django, lanes)(scope(), pytest.fail, send)

    asyncio.run(run())
    return messages


def scope() -> dict:
    return {
        "type": "http", "method": "GET", "path": "/", "query_string": b"", "http_version": "1.1",
        "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"accept", b"text/csv"), (b"accept", b"*/*"), (b"x_user", b"admin")],
    }  # fmt: skip


class Parts(list):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("count", [0, 1, 1000, 30_000])
def test_an_answer_of_any_length_arrives_whole(count):
    """From 256 KB on, it waits in a temporary file for a slow client."""
    parts = Parts(b"line %06d\n" % number for number in range(count))

    def django(environ: dict, start_response) -> Parts:
        assert environ["HTTP_ACCEPT"] == "text/csv,*/*"
        assert "HTTP_X_USER" not in environ
        start_response("200 OK", [("X-Lines", str(count))])
        return parts

    start, *bodies = sent_by(django)
    assert (start["status"], start["headers"]) == (200, [(b"x-lines", b"%d" % count)])
    assert b"".join(each["body"] for each in bodies) == b"".join(parts)
    assert [each.get("more_body", False) for each in bodies] == [True] * (len(bodies) - 1) + [False]
    assert max(len(each["body"]) for each in bodies) <= bridge.MEMORY_MAX
    assert parts.closed


def test_an_answer_that_breaks_off_is_closed():
    class Broken(Parts):
        def __iter__(self):
            yield b"x" * (bridge.MEMORY_MAX + 1)
            raise RuntimeError("the database is away")

    parts = Broken()

    def django(environ: dict, start_response) -> Parts:
        start_response("200 OK", [])
        return parts

    with pytest.raises(RuntimeError, match="away"):
        sent_by(django)
    assert parts.closed


def test_collections_of_garbage_pass_over_what_the_process_has_loaded(monkeypatch):
    monkeypatch.setattr("config.asgi.SETTLED_SECONDS", 0)
    kept = [[number] for number in range(1000)]
    before = gc.get_freeze_count()

    asyncio.run(import_string("config.asgi._settle")())

    assert gc.get_freeze_count() - before >= len(kept)
    assert len(gc.get_objects()) < len(kept)
