"""Random histories over HTTP: after each step of each history, everything that must hold holds.

A failure prints the seed and the steps. Replay it with

    HISTORY_SEED=1234 make test ARGS="-n 0 payments/tests/test_histories.py"

HISTORY_STEPS changes the number of steps, HISTORY_SEEDS the number of histories, and HISTORY_FIRST the
first seed; `make histories` runs ten thousand longer ones.
"""

import os
import random

import pytest
from django.db import transaction

from payments.tests.histories import invariants
from payments.tests.histories.steps import STEPS, begin, work
from payments.tests.histories.world import BEGUN, START, World, frozen_at

pytestmark = [pytest.mark.long, pytest.mark.twice]

CHUNKS = 8  # they run on as many processes
SEEDS = int(os.environ.get("HISTORY_SEEDS", "40"))
FIRST = int(os.environ.get("HISTORY_FIRST", "0"))
LENGTH = int(os.environ.get("HISTORY_STEPS", "5"))
ONE = os.environ.get("HISTORY_SEED")


def begun(make_user, make_video) -> World:
    """Return the world in which each history of a process begins."""
    with frozen_at(START) as clock:
        world = World(random.Random(0), clock, make_user, make_video)  # noqa: S311 - no dice
        begin(world)
    return world


def live(seed: int, beginning: World) -> None:
    """Run one history and forget it."""
    dice = random.Random(seed)  # noqa: S311 - a seed makes the same history again
    with frozen_at(BEGUN) as clock, transaction.atomic():
        world = beginning.again(dice, clock)
        try:
            for step in dice.choices(list(STEPS), list(STEPS.values()), k=LENGTH):
                world.wait(minutes=dice.randint(1, 90))
                world.note(step.__name__)
                step(world)
                invariants.check(world)
            world.note("the end")
            end(world)
        except BaseException as error:
            steps = "\n".join(world.trace)
            error.add_note(f"{steps}\nReplay: HISTORY_SEED={seed} HISTORY_STEPS={LENGTH}")
            raise
        transaction.set_rollback(True)


def end(world: World) -> None:
    """Let the last month end and all news arrive, and check once more."""
    world.wait(days=40)
    work(world, ("second", "minute"))
    world.post(world.admins[0], "admin/reconcile", {"hours": 24 * 366})
    while world.post(world.admins[0], f"admin/pools/{world.month}/close") == 200:
        world.month = world.month.next()
    invariants.check_end(world)


@pytest.mark.sweep
@pytest.mark.promise("any-history-adds-up")
@pytest.mark.django_db
@pytest.mark.parametrize("chunk", [0] if ONE else range(CHUNKS))
def test_everything_holds_after_each_step_of_any_history(chunk, make_user, make_video):
    """Random histories over HTTP, with late, lost, doubled and reordered events: the books,
    the access, the reports and the statements are right after every step."""
    beginning = begun(make_user, make_video)
    for seed in [int(ONE)] if ONE else range(FIRST + chunk, FIRST + SEEDS, CHUNKS):
        live(seed, beginning)
