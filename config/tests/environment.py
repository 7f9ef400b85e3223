"""The environment of the test suite, set before Django reads its settings.

No .env is read. Every process of a run has its own folders, which are removed at its end.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

_data = Path(tempfile.mkdtemp(prefix="vod-tests-"))


def _folder_of_the_run() -> Path:
    """Make the folder that holds the databases of all processes of a run, in memory if there is room."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made inside
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 2**30:
        return Path(tempfile.mkdtemp(prefix="vod-tests-"))
    return Path(tempfile.mkdtemp(prefix="vod-tests-", dir=memory))


# The first process makes the folder, and the processes that it starts use and keep it.
_is_first = "TESTS_RUN_DIR" not in os.environ
RUN = _folder_of_the_run() if _is_first else Path(os.environ["TESTS_RUN_DIR"])
os.environ["TESTS_RUN_DIR"] = str(RUN)

os.environ.update(
    {
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "only-for-tests-5e1c0a7b94d2483f86a1c7e0b3d95f21-not-a-secret",
        "DATA_DIR": str(_data),
        "DEFAULT_ADMIN_EMAIL": "root@example.com",
        "DEFAULT_ADMIN_PASSWORD": "correct horse battery staple",
        "RATE_LIMIT_AUTH": "0",
        "RATE_LIMIT_STREAM": "0",
        "RATE_LIMIT_DEFAULT": "0",
        "FFMPEG_PRESET": "ultrafast",
        "ALLOW_HTTP": "true",  # the test client does not connect over the loopback address
        "LOG_LEVEL": "WARNING",
    }
)
for _name in ("MEDIA_DIR", "STORAGE", "CACHE_URL", "ALLOWED_HOSTS", "DEBUG"):
    os.environ.pop(_name, None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Take all that was imported and collected out of the garbage collector, and let it run less often.

    It lives until the end, and searching it for garbage took a tenth of the time of all tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_unconfigure(config):
    shutil.rmtree(_data, ignore_errors=True)
    if _is_first:
        shutil.rmtree(RUN, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip with ``missing: …`` into a failure where no part may be missing (VOD_EVERYTHING)."""
    report = yield
    if report.skipped and os.environ.get("VOD_EVERYTHING") and "missing:" in str(report.longrepr):
        report.outcome = "failed"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the name of a test that failed to the file FAILURES, which `.ci/run` shows at its end."""
    if report.failed:
        _note_failure(f"{report.nodeid} ({report.when})")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Do the same for a file whose tests cannot be read."""
    if report.failed:
        _note_failure(f"{report.nodeid} (reading it)")


def _note_failure(name: str) -> None:
    file = os.environ.get("FAILURES")
    if file and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(file).open("a") as failures:
            failures.write(f"{name}\n")
