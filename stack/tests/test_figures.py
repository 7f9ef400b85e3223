"""What `/metrics` and `/health/ready` of a running stack tell about a fault in it: which part is away or
slow, what waits and since when, who was refused and why.
"""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import psutil
import pytest

from config.tests import exposition
from stack.plan import HOST
from stack.tests.load import API
from stack.tests.running import BACK_SECONDS, Stack
from stack.tests.test_delivery import People
from videos.processing.synthesis import synthesise

pytestmark = [pytest.mark.stack, pytest.mark.programs, pytest.mark.xdist_group("stack")]

WEBS = ("web-1", "web-2")
NOTICED_SECONDS = 180.0  # until a fault is told: a sign of life is good for a minute
DECISIONS = "vod_stream_authorisations_total"


@pytest.fixture(scope="module")
def people(started, tmp_path_factory) -> People:
    return People(started, tmp_path_factory.mktemp("clip"))


def scrape(stack: Stack, name: str, without: str = "") -> exposition.Samples:
    """Return the figures of a web process, whole but for one part.

    On a busy machine it gives up before it has read all, and says so: then it is asked again.
    """

    def whole() -> exposition.Samples | None:
        answer = httpx.get(f"http://{HOST}:{stack.plan.ports[name]}/metrics", timeout=30)
        found = exposition.read(answer.raise_for_status().text)
        read = found.of("vod_figures_read")
        return found if all(value or labels["part"] == without for labels, value in read) else None

    found: exposition.Samples = stack.wait_for(whole, BACK_SECONDS)
    return found


def readiness(stack: Stack, name: str = "web-1", named: str = "") -> dict:
    """Return what a web process says, once it names a part or could ask all of them.

    Those that are not required are asked when the database answers; on a busy machine they are late.
    """

    def known() -> dict | None:
        url = f"http://{HOST}:{stack.plan.ports[name]}/health/ready"
        said: dict = httpx.get(url, timeout=30).json()
        parts: dict = said["parts"]
        is_known = "reported" not in parts or parts.get(named, "ok") != "ok"
        return said if is_known else None

    said: dict = stack.wait_for(known, BACK_SECONDS)
    return said


@contextlib.contextmanager
def frozen(stack: Stack, *names: str) -> Iterator[None]:
    """Let parts hang: no process of theirs does anything until the block ends."""
    processes = [psutil.Process(stack.pid(name)) for name in names]
    processes += [child for each in processes for child in each.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def wait_until_well(stack: Stack) -> None:
    stack.wait_until_all_work()

    def is_well() -> bool:
        return all(readiness(stack, name)["status"] == "ok" for name in WEBS)

    stack.wait_for(is_well, BACK_SECONDS)


def test_workers_that_hang_and_the_video_that_waits_for_them_are_told(people, tmp_path):
    stack = people.stack
    wait_until_well(stack)
    clip = synthesise(tmp_path / "clip.mp4", seconds=2, size="320x180", rate=15).read_bytes()
    waiting = {"stage": "first", "state": "queued"}
    assert scrape(stack, "web-1").one("vod_queue_jobs", **waiting) == 0
    assert scrape(stack, "web-1").one("vod_workers") >= 1

    with frozen(stack, "light", "heavy"):
        files = {"file": ("clip.mp4", clip, "video/mp4")}
        before = time.time()
        made = people.ask(
            "POST", f"{API}/videos/", people.creator, data={"title": "Waits"}, files=files
        )
        video, after = made.raise_for_status().json()["id"], time.time()
        stack.wait_for(lambda: readiness(stack)["parts"].get("worker") == "none", NOTICED_SECONDS)

        for name in WEBS:
            # A web process gives an answer again for a second, so that the ages are bounds.
            begun, found, ended = time.time(), scrape(stack, name), time.time()
            assert found.one("vod_queue_jobs", **waiting) == 1
            assert found.one("vod_queue_due_jobs") == 1
            age = found.one("vod_queue_oldest_seconds", **waiting)
            assert begun - after - 2 <= age <= ended - before + 2
            assert found.one("vod_workers") == 0
            seen = found.one("vod_worker_seen_time_seconds")
            assert before - 30 < seen < begun - 50
        said = readiness(stack)
        assert said["status"] == "degraded"  # ready all the same: people watch and buy
        assert said["reasons"]["worker"].startswith(
            "No worker has given a sign of life for 1 minute: "
        )

    def status() -> str:
        return people.ask("GET", f"{API}/videos/{video}", people.creator).json()["status"]

    stack.wait_for(lambda: status() == "READY", BACK_SECONDS)
    stack.wait_for(lambda: scrape(stack, "web-1").one("vod_queue_jobs", **waiting) == 0, 60)
    stack.wait_for(lambda: scrape(stack, "web-1").one("vod_workers") >= 1, 60)
    wait_until_well(stack)


@pytest.mark.parametrize(
    ("part", "named", "status", "state", "figure"),
    [
        ("valkey", "cache", "unavailable", "unavailable", None),
        ("seaweedfs", "storage", "degraded", "unavailable", "vod_storage_up"),
        ("postgresql", "database", "unavailable", "unavailable", "vod_database_up"),
    ],
)
def test_a_part_that_hangs_is_named(people, part, named, status, state, figure):
    stack = people.stack
    wait_until_well(stack)
    well = scrape(stack, "web-1")
    assert well.one("vod_database_up") == well.one("vod_storage_up") == 1

    with frozen(stack, part):
        stack.wait_for(
            lambda: all(readiness(stack, web, named)["parts"].get(named) == state for web in WEBS),
            NOTICED_SECONDS,
        )
        said = readiness(stack, named=named)
        assert said["reasons"][named]
        assert said["status"] == status

        def told() -> exposition.Samples:
            return scrape(stack, "web-1", without=named)

        if figure is not None:
            stack.wait_for(lambda: told().sum(figure) == 0, NOTICED_SECONDS)
        found = told()
        assert "vod_build_info" in found.names()  # the others are told in time
        if part == "postgresql":  # how slow it is: the scrape gave up waiting
            assert found.one("vod_scrape_database_seconds") >= 2
            assert found.one("vod_figures_read", part="database") == 0
        else:
            assert found.one("vod_database_up") == 1

    wait_until_well(stack)
    if figure is not None:
        stack.wait_for(lambda: scrape(stack, "web-1").sum(figure) == 1, BACK_SECONDS)


def refusals(stack: Stack) -> Counter[tuple[str, str]]:
    """Return the decisions of both web processes, by step and result."""
    found: Counter[tuple[str, str]] = Counter()
    for name in WEBS:
        for labels, value in scrape(stack, name).of(DECISIONS):
            found[labels["step"], labels["result"]] += int(value)
    return found


def test_who_was_refused_is_counted_by_the_reason(people):
    """By the API, and by nginx, whose refusals no web server sees."""
    stack = people.stack
    wait_until_well(stack)
    ended = people.start(people.free, people.viewer)
    path = f"{API}/stream/sessions/{ended['session_id']}"
    assert people.ask("DELETE", path, people.viewer).status_code == 204
    people.assert_ends(ended["segment"])
    other = people.start(people.free, people.viewer)
    time.sleep(3)  # what was counted before is told by then
    before = refusals(stack)

    for _ in range(3):
        assert people.ask("GET", f"{API}/stream/{people.paid}", people.other).status_code == 403
    for _ in range(5):
        assert people.status(ended["segment"]) == 410
    stolen = other["segment"].replace(people.free, people.paid)
    for _ in range(2):
        assert people.status(stolen) == 403
    forged = other["segment"].replace(other["grant"], "A" * len(other["grant"]))
    assert people.status(forged) == 401
    assert people.status(other["segment"]) == 200

    expected = {
        ("token", "purchase_required"): 3,
        ("media", "session_ended"): 5,
        ("media", "wrong_video"): 2,
        ("media", "grant_invalid"): 1,
    }

    def told() -> bool:
        after = refusals(stack)
        return all(after[each] - before[each] == number for each, number in expected.items())

    stack.wait_for(told, 30)
    time.sleep(2)  # nothing is counted twice
    assert told(), refusals(stack) - before
