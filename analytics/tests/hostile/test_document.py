"""Every operation of the document, as every caller, against a running service.

`make fuzz` sends 20,000 requests, `.ci/run` 1,500 (FUZZ_REQUESTS). A run shows its seed, and FUZZ_SEED
sets it. A failure shows each fault with the curl command of a request that has it.
"""

import json
import os
import random
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from accounts.roles import MODERATOR
from analytics.tests.hostile.schemathesis_run import Run
from analytics.tests.hostile.world import World, make_world
from audit import sealing
from audit import verification as audit_verification
from config.tests import openapi
from payments.books import verification
from videos.tests import processes

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db(transaction=True)]

REQUESTS = int(os.environ.get("FUZZ_REQUESTS") or 1500)
SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
ROUND = 5000  # requests, at most, on the rows of one world
# Each caller's part of a round. Most of what an administrator asks for is done, and most of what the
# others ask for is refused in the same way.
PARTS = {"anonymous": 0.12, "VIEWER": 0.2, "CREATOR": 0.22, MODERATOR: 0.08, "ADMIN": 0.38}
UNLIMITED = {f"RATE_LIMIT_{group}": "0" for group in ("AUTH", "STREAM", "DEFAULT")}


@pytest.fixture
def new_world(make_user, make_video, buy, subscribe) -> Callable[[], World]:
    """Return a function that makes new rows in all states."""
    return lambda: make_world(make_user, make_video, buy, subscribe)


@pytest.fixture
def say(capsys) -> Callable[[str], None]:
    """Return a function that shows a line at once, also while pytest captures the output."""

    def show(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)  # noqa: T201 - the output of this command

    return show


def shown(faults: dict[str, str]) -> str:
    lines = [f"{fault}\n    {curl}" for fault, curl in faults.items()]
    return f"{len(faults)} faults; FUZZ_SEED={SEED} repeats the run.\n" + "\n".join(lines)


def test_every_answer_is_declared_and_nothing_breaks(new_world, make_video, media, run_minute, say):
    say(f"\nFUZZ_SEED={SEED} FUZZ_REQUESTS={REQUESTS}")
    answers: Counter[int] = Counter()
    faults: dict[str, str] = {}
    seed, started = SEED, time.monotonic()
    with processes.web(**UNLIMITED) as (_, port):
        while answers.total() < REQUESTS:
            world, size = new_world(), min(ROUND, REQUESTS - answers.total())
            for caller, part in PARTS.items():
                run = Run(port, world, caller, seed=seed, size=round(size * part))
                run.run()
                say(f"{caller}: {dict(sorted(run.answers.items()))}")
                if new := {key: run.faults[key] for key in run.faults.keys() - faults.keys()}:
                    say(shown(new))
                answers, faults, seed = answers + run.answers, faults | run.faults, seed + 1
        video = make_video().pk  # nobody has deleted it
        broken = lists_that_fail(port, world, video)
    say(f"{answers.total()} in {time.monotonic() - started:.0f} s: {dict(sorted(answers.items()))}")
    assert not faults, shown(faults)
    assert not broken
    assert "Traceback" not in processes.log()
    run_minute()  # what the requests have left does not stop the worker either
    assert verification.verify_ledger().discrepancies == 0
    sealing.seal()
    assert audit_verification.verify().broken is None


def lists_that_fail(port: int, world: World, video: uuid.UUID) -> list[str]:
    """Return the lists that do not answer an administrator with 200, on each of their pages.

    Lists about a video are those of ``video``.
    """
    failed = []
    for path, item in openapi.document()["paths"].items():
        names = {each["name"] for each in item.get("get", {}).get("parameters", ())}
        if "cursor" not in names:
            continue
        url = f"http://127.0.0.1:{port}{path.format(video_id=video)}?page_size=100"
        while url:
            request = urllib.request.Request(url, headers=world.headers("ADMIN"))
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    url = json.load(answer)["next"]
            except OSError as error:
                failed.append(f"{url}: {error}")
                break
    return failed


def test_a_limited_caller_is_told_when_to_come_back(new_world, media):
    """The same with rate limits: most answers are 429 then, and they too are as declared."""
    limits = dict.fromkeys(UNLIMITED, "30")
    with processes.web(**limits) as (_, port):
        run = Run(port, new_world(), "anonymous", seed=SEED, size=REQUESTS // 10)
        run.run()
    assert not run.faults, shown(run.faults)
    assert run.answers[429] > run.answers.total() / 2
