"""What every test stands on: seeded roles, an inline audit log, and tables that can be emptied."""

import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from accounts.backends import forget_role_permissions
from config import append_only
from payments.ledger import protection

PROTECTED = ("audit_auditentry", *protection.TABLES)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """On SQLite, a real file: the one in memory that Django would take knows no waiting writers."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(settings.DATA_DIR / "tests.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Seeded once; only tests that empty the tables have to seed again."""
    with django_db_blocker.unblock(), override_settings(PASSWORD_HASHERS=[QUICK_HASHER]):
        call_command("seed", verbosity=0)


class QuickArgon2(Argon2PasswordHasher):
    """The same format at a hundredth of the cost."""

    time_cost, memory_cost, parallelism = 1, 64, 1


QUICK_HASHER = f"{QuickArgon2.__module__}.{QuickArgon2.__qualname__}"


def uses_transactions(request) -> bool:
    marker = request.node.get_closest_marker("django_db")
    wanted = {"transactional_db", "live_server"} & set(request.fixturenames)
    return bool(wanted) or bool(marker and marker.kwargs.get("transaction"))


def uses_database(request) -> bool:
    return bool(
        request.node.get_closest_marker("django_db")
        or {"db", "transactional_db", "live_server"} & set(request.fixturenames)
    )


@pytest.fixture(autouse=True)
def _house(request, settings):
    """Roles and plans stand, and append-only tables let the test's own clean-up through."""
    settings.AUDIT_FLUSH_SECONDS = 0
    settings.PASSWORD_HASHERS = [QUICK_HASHER]
    if not uses_database(request):
        yield
        return
    transactional = uses_transactions(request)
    request.getfixturevalue("transactional_db" if transactional else "db")
    cache.clear()
    forget_role_permissions()
    if not Group.objects.filter(name="ADMIN").exists():
        call_command("seed", verbosity=0)
    yield
    if transactional:
        # Emptying the tables is a DELETE; what runs after it puts the triggers back.
        for table in PROTECTED:
            append_only.release(connection.alias, table)
