"""The shared list of static files, the quick password hasher and the browser of the suite."""

import shutil

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from whitenoise.middleware import (  # type: ignore[import-untyped]  # it has no types
    WhiteNoiseMiddleware,
)


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_listed_once():
    """List the static files once for each test process, as a web server does when it starts.

    Each test client builds the middleware again, and listing the files was half of a request's time.
    """
    listed = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def add_files(self):
        options = (self.static_prefix, self.max_age, self.allow_all_origins)
        if options not in listed:
            list_files(self)
            listed[options] = dict(self.files)
        self.files.update(listed[options])

    WhiteNoiseMiddleware.add_files_from_finders = add_files
    yield
    WhiteNoiseMiddleware.add_files_from_finders = list_files


class QuickArgon2(Argon2PasswordHasher):
    """Argon2 with the same format, at a hundredth of the cost."""

    time_cost, memory_cost, parallelism = 1, 64, 1


QUICK_HASHER = f"{QuickArgon2.__module__}.{QuickArgon2.__qualname__}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the installed Chromium. The test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("missing: chromium (apt-get install chromium)")
