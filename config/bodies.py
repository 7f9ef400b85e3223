"""Taking in the bodies of requests on the event loop, before a thread is asked for.

A client that sends slowly, or not at all, holds a few kilobytes of memory and nothing else.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from config import addresses

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_MAX = 1024 * 1024  # bytes; larger bodies are uploads, which the upload application takes
# A form with a poster, or with a file of evidence against a dispute. Few at a time, because they are
# held in memory.
LARGER_MAX = 6 * 1024 * 1024
LARGER_PATHS = re.compile(
    r"/api/v1/videos/[^/]+/poster/?"
    r"|/api/v1/payments/admin/disputes/[^/]+/evidence/files/[^/]+|/admin/payments/dispute/[^/]+/evidence/"
)
LARGER_AT_ONCE = 8
BODY_SECONDS = 20.0  # for a whole body that is no upload
PAUSE_SECONDS = 20.0  # between two parts of an upload
RATE_MINIMUM = 1024  # bytes a second, on average after the first PAUSE_SECONDS of an upload
DROP_SECONDS = 2.0  # for the rest of a body that was refused
WAITING_MAX = 1000  # bodies that a process takes in at a time
WAITING_BY_ADDRESS = 100  # of them, those of one address (one IPv6 /64 network)


class BodyRefused(Exception):
    """A body that is not taken in: the status, code and sentence of the answer."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class ClientGone(Exception):
    """The client has closed the connection before the body was complete."""


def too_large(limit: int = BODY_MAX) -> BodyRefused:
    return BodyRefused(
        413, "too_large", f"The body is larger than {limit} bytes. Only videos may be larger."
    )


def too_slow() -> BodyRefused:
    return BodyRefused(
        408, "too_slow", "The body did not arrive in time. Send it again over a faster connection."
    )


def too_many() -> BodyRefused:
    return BodyRefused(
        503, "unavailable", "Too many requests are being sent at once. Try again in a moment."
    )


class Waiting:
    """The bodies that this process is taking in, the oldest first, in all and by address.

    At most WAITING_MAX in all and WAITING_BY_ADDRESS of one address wait at a time.
    """

    def __init__(self) -> None:
        self._all: dict[asyncio.Timeout, str] = {}
        self._by_address: dict[str, dict[asyncio.Timeout, None]] = {}
        self._larger = 0

    @contextmanager
    def give_up_oldest(self, address: str, deadline: asyncio.Timeout) -> Iterator[None]:
        """Count one body while the block runs. Over a bound, the oldest one's deadline ends now.

        So a crowd of clients that send nothing pushes itself out, and a whole body is always taken.
        """
        oldest = self._over(address)
        if oldest is not None:
            self._forget(oldest)
            oldest.reschedule(asyncio.get_running_loop().time())
        with self._counted(address, deadline):
            yield

    @contextmanager
    def refuse_newest(self, address: str, deadline: asyncio.Timeout) -> Iterator[None]:
        """Count one body while the block runs. Raises BodyRefused over a bound."""
        if self._over(address) is not None:
            raise too_many()
        with self._counted(address, deadline):
            yield

    @contextmanager
    def larger(self) -> Iterator[None]:
        """Count one larger body while the block runs. Raises BodyRefused over LARGER_AT_ONCE."""
        if self._larger >= LARGER_AT_ONCE:
            raise too_many()
        self._larger += 1
        try:
            yield
        finally:
            self._larger -= 1

    def _over(self, address: str) -> asyncio.Timeout | None:
        """Return the oldest body of the address, or of all, if there are as many as there may be."""
        of_address = self._by_address.get(addresses.network(address), {})
        if len(of_address) >= WAITING_BY_ADDRESS:
            return next(iter(of_address))
        return next(iter(self._all)) if len(self._all) >= WAITING_MAX else None

    @contextmanager
    def _counted(self, address: str, deadline: asyncio.Timeout) -> Iterator[None]:
        key = addresses.network(address)
        self._all[deadline] = key
        self._by_address.setdefault(key, {})[deadline] = None
        try:
            yield
        finally:
            self._forget(deadline)

    def _forget(self, deadline: asyncio.Timeout) -> None:
        key = self._all.pop(deadline, None)
        if key is not None:
            del self._by_address[key][deadline]
            if not self._by_address[key]:
                del self._by_address[key]


def address_of(scope: Scope) -> str:
    """Return the address of the client, or an empty text for a Unix socket."""
    return str((scope.get("client") or ("",))[0])


def announced_length(scope: Scope) -> int | None:
    """Return the Content-Length of a request, or None without a valid one."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


async def take_small(scope: Scope, receive: Receive, waiting: Waiting) -> bytes:
    """Return a whole body of at most BODY_MAX bytes, or LARGER_MAX for one of LARGER_PATHS.

    Raises BodyRefused for a larger one (before its first byte, if its length is announced) and for
    one that is not complete after BODY_SECONDS; ClientGone if the connection ends before.
    """
    names = {name for name, _ in scope["headers"]}
    if not names & {b"content-length", b"transfer-encoding"}:
        return b""
    limit = LARGER_MAX if LARGER_PATHS.fullmatch(scope.get("path", "")) else BODY_MAX
    if (announced_length(scope) or 0) > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS) as deadline:
            with (
                waiting.give_up_oldest(address_of(scope), deadline),
                waiting.larger() if limit > BODY_MAX else nullcontext(),
            ):
                async for part in parts_of(receive):
                    body += part
                    if len(body) > limit:
                        raise too_large(limit)
    except TimeoutError:
        raise too_slow() from None
    return bytes(body)


async def take_large(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the parts of a large body as they arrive.

    Raises BodyRefused when nothing comes for PAUSE_SECONDS, or less than RATE_MINIMUM on average;
    ClientGone if the connection ends before the body does.
    """
    clock = asyncio.get_running_loop().time
    begun, size = clock(), 0
    parts = parts_of(receive)
    while True:
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise too_slow() from None
        yield part
        size += len(part)
        if size < RATE_MINIMUM * (clock() - begun - PAUSE_SECONDS):
            raise too_slow()


async def drop_body(receive: Receive) -> None:
    """Read what a client still sends and forget it, for at most DROP_SECONDS."""
    with suppress(TimeoutError, ClientGone):
        async with asyncio.timeout(DROP_SECONDS):
            async for _ in parts_of(receive):
                pass


async def parts_of(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the parts of a body until it is complete. Raises ClientGone."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part
