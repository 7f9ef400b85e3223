"""The parts of ASGI 3 that the delivery uses, as types.

The types of asgiref demand keys that the specification makes optional, and allow no memoryview as a
body, which uvicorn sends without a copy.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, NotRequired, TypedDict

# Names in lower case, as ASGI asks for.
Headers = list[tuple[bytes, bytes]]


class Scope(TypedDict):
    """A connection's scope: one HTTP request, or the life of the process."""

    type: str
    method: str
    path: str
    raw_path: NotRequired[bytes]
    root_path: NotRequired[str]
    headers: Headers
    client: NotRequired[tuple[str, int] | None]
    extensions: NotRequired[dict[str, Callable[[], None]]]


class Received(TypedDict):
    """A message of the server. Only requests for a licence have a body that is read."""

    type: str
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class ResponseStart(TypedDict):
    """Status and headers of a response."""

    type: Literal["http.response.start"]
    status: int
    headers: Headers


class ResponseBody(TypedDict):
    """A part of a response's body; ``more_body`` announces another one."""

    type: Literal["http.response.body"]
    body: NotRequired[bytes | memoryview]
    more_body: NotRequired[bool]


class LifespanComplete(TypedDict):
    """The delivery's answer to the start or the end of the process."""

    type: Literal["lifespan.startup.complete", "lifespan.shutdown.complete"]


Receive = Callable[[], Awaitable[Received]]
Send = Callable[[ResponseStart | ResponseBody | LifespanComplete], Awaitable[None]]


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has gone. Messages before that are dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
