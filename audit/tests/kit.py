"""Calls of the API, as the middleware describes them, and a clock for them."""

from dataclasses import replace

from audit.tally import Call

START = 1_780_000_200_000_000_000  # nanoseconds; half an hour before the end of an hour

_CALL = Call(
    actor_id=None,
    ip="192.0.2.1",
    user_agent="Player/1",
    method="GET",
    path="/api/v1/waiting/1",
    route="/api/v1/waiting/*",
    status=200,
    duration_ms=3,
    request_id="request-1",
)


def call(**changes) -> Call:
    return replace(_CALL, **changes)


class StoppedClock:
    """Stands still but for a microsecond a call, since no two requests have the same moment."""

    now = START

    def time_ns(self) -> int:
        self.now += 1000
        return self.now
