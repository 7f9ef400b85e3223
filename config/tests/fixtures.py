"""The base of every test: seeded roles, an audit log without a thread, tables that can be emptied."""

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
    """On SQLite, use a real file: writers do not wait for each other in Django's in-memory database."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(settings.DATA_DIR / "tests.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Seed once. Only tests that empty the tables seed again."""
    with django_db_blocker.unblock(), override_settings(PASSWORD_HASHERS=[QUICK_HASHER]):
        call_command("seed", verbosity=0)


class QuickArgon2(Argon2PasswordHasher):
    """Argon2 in the same format, at a hundredth of the cost."""

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
    """Provide roles and plans, and let the clean-up of a test empty append-only tables."""
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
        # The clean-up deletes all rows. The post_migrate signal after it creates the triggers again.
        for table in PROTECTED:
            append_only.release(connection.alias, table)
