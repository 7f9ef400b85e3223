"""API requests that wait to be written, and the clock by which they are listed and counted."""

import pytest

from audit import buffer, requests
from audit.tests.kit import StoppedClock


@pytest.fixture
def clock(monkeypatch) -> StoppedClock:
    """A clock that only the test moves, so that no minute or hour ends in the middle of it."""
    stopped = StoppedClock()
    monkeypatch.setattr(requests, "time", stopped)
    return stopped


@pytest.fixture
def waiting(settings, monkeypatch, clock) -> None:
    """Requests wait for `buffer.flush`, which only the test calls."""
    settings.AUDIT_FLUSH_SECONDS = 60
    monkeypatch.setattr(buffer, "_start", lambda: None)
