"""A worker whose clock is wrong ends nothing by it."""

import time

import pytest
from django.db import connection

from videos import periodic

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.postgres,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite uses the clock of the machine"
    ),
]


@pytest.mark.parametrize(("ahead", "runs"), [(0, True), (50, True), (70, False), (-3600, False)])
@pytest.mark.parametrize("every", ["second", "minute", "hour"])
def test_the_work_of_minutes_and_hours_waits_for_a_right_clock(
    ahead, runs, every, monkeypatch, caplog
):
    done = []
    monkeypatch.setitem(periodic.OWN_PARTS, every, (lambda: done.append(every),))
    monkeypatch.setattr(periodic.worker_tick, "send_robust", lambda **_: done.append("apps"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)

    periodic.run(every)

    goes_on = runs or every == "second"
    assert done == ([every, "apps"] if goes_on else [])
    assert ("NTP" in caplog.text) is not goes_on
