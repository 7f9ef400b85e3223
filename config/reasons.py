"""The reason that an administrator gives for an act, until the audit log has it.

The admin site asks for it (`config.confirming`), services do not know of it, and `audit.services.record`
keeps it with every entry of the act.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_given: ContextVar[str] = ContextVar("reason_given", default="")


def given() -> str:
    """Return the reason of the current act, or an empty text if none was asked for."""
    return _given.get()


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Keep ``reason`` with every audit entry that is written inside this block."""
    token = _given.set(reason)
    try:
        yield
    finally:
        _given.reset(token)
