"""The database file and the quick password hasher of the suite."""

import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """Keep SQLite's test database in a file: one in memory has no writers that wait for each other."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(settings.DATA_DIR / "tests.sqlite3")


class QuickArgon2(Argon2PasswordHasher):
    """Argon2 with the same format, at a hundredth of the cost."""

    time_cost, memory_cost, parallelism = 1, 64, 1


QUICK_HASHER = f"{QuickArgon2.__module__}.{QuickArgon2.__qualname__}"
