"""The request that the current code works for, so that services need not be handed it."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from config.http import request_id


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change came from; empty for commands and the worker."""

    method: str = ""
    path: str = ""
    ip: str | None = None
    user_agent: str = ""
    request_id: str = field(default_factory=lambda: _known(request_id.get()))


def _known(text: str) -> str:
    return "" if text == "-" else text


_origin: ContextVar[Origin | None] = ContextVar("audit_origin", default=None)
set_origin = _origin.set
reset_origin = _origin.reset


def origin() -> Origin:
    return _origin.get() or Origin()
