"""Running transfers of files to clients, and their end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from streaming.delivery import files
from streaming.delivery.messages import Receive, Send


class Connection(Protocol):
    """A connection that has taken a whole file to send (streaming.delivery.protocol)."""

    def cut(self) -> None:
        """Close the connection and drop the bytes that it has not sent yet."""


@dataclass(slots=True)
class Transfer:
    """A file on its way to the client of one session."""

    session: bytes
    file: files.OpenFile
    receive: Receive
    send: Send
    cut: Callable[[], None] | None  # None under another server than ours


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call ``function`` on the event loop, from another thread."""
    with suppress(RuntimeError):  # The loop is closed, so there is no transfer to stop.
        loop.call_soon_threadsafe(function)
