"""Squashed migrations make what the old steps make, and older databases go on with the old steps."""

import json
import random
import signal
import subprocess
import sys
import uuid
from unittest import mock

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from config import database
from config.management.commands.migrate import Executor
from config.tests import cases
from videos.tests import processes

SEEDS = 100


@pytest.fixture
def empty_databases(tmp_path):
    """The URLs of three databases without tables."""
    names = [f"empty_{uuid.uuid4().hex}" for _ in range(3)]
    if connection.vendor == "sqlite":
        yield [f"sqlite:///{tmp_path / name}" for name in names]
        return
    with connection._nodb_cursor() as cursor:
        for name in names:
            cursor.execute(f'CREATE DATABASE "{name}"')
        yield [processes.database_url(name) for name in names]
        for name in names:
            cursor.execute(f'DROP DATABASE "{name}"')


def migrated(url: str, *arguments: str) -> dict[str, str]:
    """Migrate an empty database in a process of its own, and return the description of its schema."""
    program = [sys.executable, "-m", "config.tests.migrating", *arguments]
    done = subprocess.run(
        program,
        env=processes.environment(DATABASE_URL=url),
        cwd=settings.BASE_DIR,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


@pytest.mark.sweep
@pytest.mark.django_db
@pytest.mark.long
@pytest.mark.twice
def test_a_new_database_is_what_all_steps_make(empty_databases):
    at_once = migrated(empty_databases[0])
    by_steps = migrated(empty_databases[1], "--steps")
    squashed = migrated(empty_databases[2], "--squashed")

    assert len(at_once) > 300
    assert "0003_sign_ins" in at_once["rows of django_migrations"]
    assert "'codename': 'write_off_debt'" in at_once["rows of auth_permission"]
    assert squashed == by_steps
    assert at_once == squashed


@pytest.mark.django_db
@pytest.mark.parametrize("seed", cases.some(4, range(SEEDS)))
@pytest.mark.long
@pytest.mark.twice
def test_a_database_goes_on_from_every_step(seed):
    """Of an app that has a step, the missing steps follow; of an app that has none, the squashed one."""
    executor = Executor(connection)
    executor.take_steps()
    steps = executor.loader.graph
    done = some_steps(steps, random.Random(seed))  # noqa: S311 - a test
    squashed = MigrationLoader(None).replacements
    # `migrate` has recorded the squashed migration of an app that has all of its steps.
    recorded = [key for key, migration in squashed.items() if done.keys() >= {*migration.replaces}]

    applied = mock.Mock(side_effect=lambda: dict(done) | dict.fromkeys(recorded))
    with mock.patch.object(MigrationRecorder, "applied_migrations", applied):
        executor = Executor(connection)
        executor.loader.check_consistent_history(connection)
        assert executor.loader.detect_conflicts() == {}
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        pending = database.pending_migrations()

    begun = {app for app, _ in done}
    replaced = {
        step for squashed in executor.loader.replacements.values() for step in squashed.replaces
    }
    for migration, _ in plan:
        if migration.replaces:
            assert migration.app_label not in begun
        elif (migration.app_label, migration.name) in replaced:
            assert migration.app_label in begun
    assert pending == {*steps.nodes}.difference(done)
    assert pending == {
        step
        for migration, _ in plan
        for step in migration.replaces or [(migration.app_label, migration.name)]
    }


def some_steps(graph, chance: random.Random) -> dict:
    """Return a random part of all steps, each with all that it depends on."""
    done: dict = {}
    for leaf in chance.sample(graph.leaf_nodes(), 3):
        plan = graph.forwards_plan(leaf)
        done |= dict.fromkeys(plan[: chance.randint(0, len(plan))])
    return done


THERE_AND_BACK = """
import django
django.setup()
from django.core.management import call_command
for target in ([], ["payments", "0016"], ["audit", "0008"], ["streaming", "0008"], []):
    call_command("migrate", *target, verbosity=0)
    call_command("migrate", *target, check_unapplied=True, verbosity=0)  # exits with 1 otherwise
"""


@pytest.mark.django_db
@pytest.mark.long
def test_a_new_database_can_go_back_to_an_old_step_and_on_again(empty_databases):
    """In one process, because each start of one would take as long as a migration."""
    values = processes.environment(
        DATABASE_URL=empty_databases[0], DJANGO_SETTINGS_MODULE="config.settings"
    )
    subprocess.run([sys.executable, "-c", THERE_AND_BACK], env=values, check=True)

    assert len(migrated(empty_databases[0])) > 300


KILLED = """
import os, signal
import django
django.setup()
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from config.sqlite3 import new
new.make = lambda connection: False  # the migrations run on SQLite, too
record = MigrationRecorder.record_applied
def killed(self, app, name):
    record(self, app, name)
    if (app, name) == ("payments", "0003_money"):
        os.kill(os.getpid(), signal.SIGKILL)
MigrationRecorder.record_applied = killed
call_command("migrate", verbosity=0)
"""


@pytest.mark.django_db
@pytest.mark.long
def test_a_kill_while_steps_are_recorded_is_followed_by_a_migration_that_succeeds(empty_databases):
    values = processes.environment(
        DATABASE_URL=empty_databases[0], DJANGO_SETTINGS_MODULE="config.settings"
    )
    killed = subprocess.run([sys.executable, "-c", KILLED], env=values, check=False)
    assert killed.returncode == -signal.SIGKILL

    assert len(migrated(empty_databases[0])) > 300
