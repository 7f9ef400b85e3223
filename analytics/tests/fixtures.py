"""A fixture of every test: seeded roles and plans, and append-only tables that can be emptied."""

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection

from accounts.backends import forget_role_permissions
from audit import buffer
from config import append_only
from config.tests.fixtures import QUICK_HASHER
from payments.ledger import protection

PROTECTED = ("audit_auditentry", *protection.TABLES)


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
    buffer.forget()
    forget_role_permissions()
    if not Group.objects.filter(name="ADMIN").exists():
        call_command("seed", verbosity=0)
    yield
    if transactional:
        # The clean-up deletes all rows. The post_migrate signal after it creates the triggers again.
        for table in PROTECTED:
            append_only.release(connection.alias, table)
