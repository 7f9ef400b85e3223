"""The origin of the current request, for services that record it without getting the request."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that caused a change. All fields are empty for commands and the worker."""

    method: str = ""
    path: str = ""
    ip: str | None = None
    user_agent: str = ""
    request_id: str = ""


# The id and the name of the API key of the current request; None for every other caller. Threads serve
# one request after the other, so whoever authenticates a request sets it anew.
via_key: ContextVar[dict[str, str] | None] = ContextVar("audit_via_key", default=None)
_origin: ContextVar[Origin | None] = ContextVar("audit_origin", default=None)
set_origin = _origin.set
reset_origin = _origin.reset


def origin() -> Origin:
    """Return the origin of the current request, or an empty one outside a request."""
    return _origin.get() or Origin()
