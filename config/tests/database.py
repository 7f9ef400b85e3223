"""One migrated and seeded database for a test run, copied for each of its processes.

Migrating takes seconds and copying takes milliseconds, so only the first process migrates. With
KEPT_DATABASE=<file>, on SQLite, the first of several runs of the same code leaves its copy for the
others there, as `.ci/run` asks.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from config.tests.environment import RUN
from config.tests.fixtures import QUICK_HASHER

USERS = RUN / "users"  # holds an empty file for each process that has a copy
TEMPLATE = RUN / "template"  # holds the name of the database that is copied


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process of the run is inside this block."""
    with (RUN / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def seed() -> None:
    """Seed the database without entries in the audit log: every test begins with an empty one."""
    with mock.patch("audit.services.record"):
        call_command("seed", verbosity=0)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker):
    """Give this process a copy of the run's database; replaces pytest-django's fixture."""
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    place, creation = connection.settings_dict, connection.creation
    if connection.vendor == "sqlite":
        # A file, because writers do not wait for each other in a database in memory.
        place["TEST"]["NAME"] = str(RUN / "tests.sqlite3")
    with django_db_blocker.unblock(), alone():
        USERS.mkdir(exist_ok=True)
        if not any(USERS.iterdir()):
            TEMPLATE.write_text(_make())
        place["NAME"] = template = TEMPLATE.read_text()
        creation.clone_test_db(process, verbosity=0, autoclobber=True)
        (USERS / process).touch()
        place["NAME"] = creation.get_test_db_clone_settings(process)["NAME"]
    yield
    with django_db_blocker.unblock(), alone():
        creation.destroy_test_db(template, verbosity=0)
        (USERS / process).unlink()
        if not any(USERS.iterdir()):
            creation.destroy_test_db(verbosity=0)


def _make() -> str:
    """Create, migrate and seed the database that is copied, and return its name."""
    kept = os.environ.get("KEPT_DATABASE") if connection.vendor == "sqlite" else None
    if kept and Path(kept).exists():
        name = str(connection.settings_dict["TEST"]["NAME"])
        shutil.copyfile(kept, name)
        return name
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    with override_settings(PASSWORD_HASHERS=[QUICK_HASHER]):
        seed()
    connection.close()
    if kept:
        half = shutil.copyfile(name, f"{kept}.{os.getpid()}")
        os.rename(half, kept)
    return name
