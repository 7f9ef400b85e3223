"""Each server of the stack is killed while people upload, buy and watch: nothing is lost or twice."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rich.console import Console
from rich.table import Table

from stack import parts
from stack.plan import STORAGES
from stack.tests import outcomes
from stack.tests.load import API, PRICE, Load
from stack.tests.readiness import Readiness, Said
from stack.tests.running import BACK_SECONDS, NAMES, Stack, running
from videos.processing.synthesis import synthesise

pytestmark = [pytest.mark.stack, pytest.mark.programs, pytest.mark.xdist_group("stack")]

# Some of the parts alone: `make test-stack STACK_KILLS="valkey nginx" ARGS="-k under_load"`.
KILLED = os.environ.get("STACK_KILLS", "").split() or NAMES
VIEWERS = 300
PROCESSING_SECONDS = 600.0  # for what waits after the last kill
NOTICED_SECONDS = 240.0  # the longest time until both web processes name a part that is away
AWAY_SECONDS = 8.0  # it is kept away for so long after that
MARGIN_SECONDS = 3.0  # at the end of that time, whose looks the server's next start may answer
# The part that readiness names while a server is away, and whether the service is not ready then.
NAMED = {
    "postgresql": ("database", True),
    "valkey": ("cache", True),
    "seaweedfs": ("storage", False),
}


@dataclass
class Kill:
    """The kill of one part: its times on the monotonic clock."""

    name: str
    began: float
    noticed: float = 0.0  # both web processes have named it
    ended: float = 0.0  # the last kill of a part that is kept away
    back: float = 0.0

    def is_named(self, said: Said) -> bool:
        """Return whether an answer tells that the part is away: by 503, or by its name alone."""
        part, is_required = NAMED[self.name]
        return said.status == 503 if is_required else said.status == 200 and said.names(part)

    def is_true(self, said: Said) -> bool:
        """Return whether an answer does not claim that all is well.

        On a busy machine other parts do not answer in time either. ``reported`` stands for all that are
        not required.
        """
        _, is_required = NAMED[self.name]
        if is_required or said.status != 200:
            return said.status == 503
        return self.is_named(said) or said.names("reported")


@pytest.fixture(scope="module", params=STORAGES)
def stack(request) -> Iterator[Stack]:
    """Two stacks, one after the other: nginx sends from a bucket, and from a folder."""
    with running(storage=request.param) as started:
        yield started


@pytest.fixture
def prepared(stack: Stack, tmp_path) -> Load:
    """The people of the load, a free video and videos for sale, with everything at work."""
    people = json.loads(stack.python("-m", "attacks.people", str(VIEWERS)).splitlines()[-1])
    clip = synthesise(tmp_path / "clip.mp4", seconds=2, size="320x180", rate=15).read_bytes()
    sale = {"is_paid": "true", "price": PRICE}
    free, *paid = [
        publish(stack, people["creator"]["access"], clip, title=title, **more)
        for title, more in [("Free", {}), ("First", sale), ("Second", sale), ("Third", sale)]
    ]
    return Load(stack, people, clip, free, paid)


def publish(stack: Stack, access: str, clip: bytes, **form: str) -> str:
    """Upload a video, wait until it is READY, and return its id."""
    headers = {"Authorization": f"Bearer {access}"}
    files = {"file": ("clip.mp4", clip, "video/mp4")}
    made = stack.http.post(f"{API}/videos/", headers=headers, data=form, files=files)
    video = made.raise_for_status().json()["id"]

    def status() -> str:
        shown = stack.http.get(f"{API}/videos/{video}", headers=headers)
        return str(shown.raise_for_status().json()["status"])

    stack.wait_for(lambda: status() == "READY", PROCESSING_SECONDS)
    return str(video)


def kill(stack: Stack, readiness: Readiness, name: str) -> Kill:
    """Kill a part, and wait until all works again.

    A part that readiness has to name is killed whenever it starts, until it was named for a while.
    """
    done = Kill(name, time.monotonic())
    before = stack.pid(name)
    os.kill(before, signal.SIGKILL)

    def is_enough() -> bool:
        nonlocal before
        if (pid := stack.pid(name)) not in (0, before):
            before = pid
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, signal.SIGKILL)
        if not done.noticed:
            said = readiness.between(done.began, float("inf"))
            if {each.process for each in said if done.is_named(each)} == {"web-1", "web-2"}:
                done.noticed = time.monotonic()
        return bool(done.noticed) and time.monotonic() > done.noticed + AWAY_SECONDS

    if name in NAMED:
        stack.wait_for(is_enough, NOTICED_SECONDS + AWAY_SECONDS)
    done.ended = time.monotonic()
    stack.wait_for(lambda: stack.pid(name) not in (0, before), BACK_SECONDS)
    stack.wait_until_all_work()
    done.back = time.monotonic()
    return done


def test_nothing_is_lost_or_twice_when_each_server_is_killed_under_load(stack, prepared, capsys):
    load, readiness = prepared, Readiness(stack.plan)
    parts_of_it = {part.name for part in parts.all_of(stack.plan)}
    killed = [name for name in KILLED if name in parts_of_it]
    readiness.start()
    load.start()
    try:
        time.sleep(5)
        kills = []
        for name in killed:
            kills.append(kill(stack, readiness, name))
            time.sleep(4)
    finally:
        load.stop()
        readiness.stop()
    found = outcomes.of(stack, load, PROCESSING_SECONDS)
    with capsys.disabled():
        show(load, kills, readiness, found)
    assert load.seen.wrong == []
    assert found.wrong == []
    assert [fault for done in kills for fault in untruths(readiness, done)] == []
    # The load was one: each did something while the servers were killed.
    assert load.accepted
    assert len(load.bought) >= len(killed)
    assert load.seen.counts["segment", "200"] >= len(killed)


def untruths(readiness: Readiness, done: Kill) -> list[str]:
    """Return what readiness said that was not so, about one kill."""
    ready = [each for each in readiness.between(done.back - 1, float("inf")) if each.is_well]
    found = [] if ready else [f"{done.name}: no web process was ready when it was back"]
    if done.name not in NAMED:
        return found
    meanwhile = readiness.between(done.noticed, done.ended - MARGIN_SECONDS)
    if not meanwhile:
        found.append(f"{done.name}: readiness did not answer while it was away")
    wrong = [f"{done.name}: {each} while away" for each in meanwhile if not done.is_true(each)]
    return [*found, *wrong]


def show(load: Load, kills: list[Kill], readiness: Readiness, found: outcomes.Outcomes) -> None:
    """Print what was killed, what the people saw and what was found afterwards."""
    console = Console(width=150)
    console.print(f"\nDELIVERY=nginx, STORAGE={load.storage}")
    table = Table("killed", "named after s", "away s", "all works after s", "readiness", box=None)
    for done in kills:
        said = readiness.between(done.began, done.back)
        counts: dict[str, int] = {}
        for each in said:
            counts[each.summary] = counts.get(each.summary, 0) + 1
        texts = [f"{number} x {text}" for text, number in counts.items()]
        noticed, away = "-", "-"
        if done.name in NAMED:
            noticed, away = f"{done.noticed - done.began:.1f}", f"{done.ended - done.began:.0f}"
        back = f"{done.back - done.ended:.0f}"
        table.add_row(done.name, noticed, away, back, "; ".join(texts))
    console.print("", table)
    table = Table("deed", "answers", box=None)
    for deed in dict.fromkeys(deed for deed, _ in load.seen.counts):
        answers = [f"{number} x {text}" for text, number in sorted(load.seen.of(deed).items())]
        table.add_row(deed, "; ".join(answers))
    console.print("", table)
    table = Table("afterwards", "seen", box=None)
    for row in found.rows:
        table.add_row(*row)
    console.print("", table)
    for text in [*load.seen.wrong, *found.wrong][:20]:
        console.print(text, markup=False)
