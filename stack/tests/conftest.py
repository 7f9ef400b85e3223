"""The stack that all tests with the mark ``stack`` share."""

from collections.abc import Iterator

import pytest

from stack.tests.running import Stack, running


@pytest.fixture(scope="session")
def started() -> Iterator[Stack]:
    with running() as stack:
        yield stack


@pytest.fixture
def stack(started: Stack) -> Stack:
    """The stack, started again if a test has stopped it."""
    if not started.is_running:
        started.start()
    return started
