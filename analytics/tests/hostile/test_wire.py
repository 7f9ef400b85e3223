"""Bytes that no HTTP library sends, to every operation of a running service.

Values inside of well-formed requests are tried by `analytics/tests/test_fuzz.py` and `test_document.py`,
and requests that are too large or too slow by `analytics/tests/test_edge.py`.
"""

import random
from collections import Counter
from urllib.parse import unquote_to_bytes

import pytest

from analytics.tests.hostile import wire
from analytics.tests.hostile.answers import faults_of
from analytics.tests.hostile.test_document import REQUESTS, SEED, UNLIMITED, shown
from analytics.tests.hostile.world import World, make_world
from config.tests import openapi
from videos.models import Video
from videos.tests import processes

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db(transaction=True)]
METHODS = ("get", "post", "put", "patch", "delete")


def good_requests(world: World, chance: random.Random) -> list[wire.Wire]:
    """Return a request for each operation, most of them signed in as the administrator."""
    requests = []
    signed_in = {caller: world.headers(caller) for caller in ("ADMIN", "CREATOR", "anonymous")}
    for path, item in openapi.document()["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            caller = chance.choice(["ADMIN", "ADMIN", "CREATOR", "anonymous"])
            headers = [(b"Authorization", each.encode()) for each in signed_in[caller].values()]
            if method in {"post", "put", "patch"}:
                headers.append(wire.JSON)
            body = b"{}" if wire.JSON in headers else b""
            target = address(path, world, chance).encode()
            requests.append(wire.Wire(method.upper().encode(), target, tuple(headers), body))
    return requests


def address(path: str, world: World, chance: random.Random) -> str:
    """Return the path with values that exist in the place of its parameters."""
    while "{" in path:
        start, _, rest = path.partition("{")
        name, _, end = rest.partition("}")
        folder = start.rstrip("/").rpartition("/")[2]
        values = world.values.get(name) or world.values[folder]
        path = f"{start}{chance.choice(values)}{end}"
    return path


def test_no_bytes_break_a_route(make_user, make_video, buy, subscribe, media):
    chance = random.Random(SEED)  # noqa: S311 - no secret
    world = make_world(make_user, make_video, buy, subscribe)
    good = good_requests(world, chance)
    everything = [each for request in good for each in wire.attacks(request)]
    number = len(everything) if REQUESTS > 10_000 else REQUESTS // 3
    faults: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    with processes.web(**UNLIMITED) as (_, port):
        for request in wire.sample(everything, number, chance):
            try:
                answer = wire.send(port, request)
            except TimeoutError:
                faults[f"No answer: {bytes(request)[:300]!r}"] = request.as_command(port)
                continue
            statuses[answer.status] += 1
            for fault in faults_of_wire(request, answer):
                faults.setdefault(fault, request.as_command(port))
        last = wire.send(port, wire.Wire(b"GET", b"/api/v1/videos/?page_size=100"))
    assert not faults, shown(faults)
    assert last.status == 200
    assert statuses[400] > 0
    assert "Traceback" not in processes.log()
    assert [file for file in media.files() if "uploads/" in file] == []
    assert Video.objects.exists()


def faults_of_wire(request: wire.Wire, answer: wire.Answer) -> list[str]:
    method = request.method.decode("latin-1")
    path = unquote_to_bytes(request.target.partition(b"?")[0]).decode("utf-8", "replace")
    if not answer.status:
        return [f"{method} {path[:60]}: the connection was closed without an answer."]
    found = faults_of(method, path, answer.status, answer.headers, answer.body)
    return [f"{method} {path[:60]}: {fault}" for fault in found]
