"""The stack that all tests with the mark ``stack`` share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.tests.running import Stack


@pytest.fixture(scope="session")
def started() -> Iterator[Stack]:
    # PostgreSQL runs as another user where the tests run as root, so that the folder lets it pass.
    with tempfile.TemporaryDirectory(prefix="vod-stack-") as name:
        Path(name).chmod(0o755)
        stack = Stack(Path(name) / "stack")
        family: list[psutil.Process] = []
        try:
            stack.start()
            yield stack
        finally:
            if stack.is_running:
                family = stack.family()
                stack.stop()
            for process in family:
                if process.is_running():
                    process.kill()


@pytest.fixture
def stack(started: Stack) -> Stack:
    """The stack, started again if a test has stopped it."""
    if not started.is_running:
        started.start()
    return started
