"""Calls of the API, as the middleware describes them."""

from dataclasses import replace

from audit.tally import Call

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
