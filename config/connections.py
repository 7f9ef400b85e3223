"""The open connections of a web process: how many may be idle, and how long a client may not read."""

import asyncio
import resource
from typing import Protocol

IDLE_MAX = 4096  # connections without a request, in a process
STALL_SECONDS = 60.0  # in which a client takes no byte of an answer


class Connection(Protocol):
    """What this module needs of one connection."""

    network: str  # config.addresses
    resumed: int  # how often the client has read so much that writing went on

    def unsent_bytes(self) -> int: ...
    def close_idle(self) -> None: ...
    def abort(self) -> None: ...


class Connections:
    """The connections of one event loop.

    Each open connection takes a file descriptor, also of a client that never asks for anything. When
    too many are idle, the network with the most of them loses its oldest one. So a crowd of idle
    clients pushes itself out, and the answer to a real request is never cut.
    """

    def __init__(self) -> None:
        self._idle: dict[str, dict[Connection, None]] = {}
        self._idle_count = 0
        self._idle_max = IDLE_MAX
        self._open: dict[Connection, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, connection: Connection) -> None:
        """Note a new connection, which is idle."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._idle_max = IDLE_MAX if files == resource.RLIM_INFINITY else min(IDLE_MAX, files // 2)
        self._open[connection] = (0, 0)
        self.idle(connection)
        if self._timer is None:
            self._sweep_later()

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.busy(connection)
        self._open.pop(connection, None)

    def busy(self, connection: Connection) -> None:
        """Note that a request has come on a connection."""
        of_network = self._idle.get(connection.network)
        if of_network is not None and connection in of_network:
            del of_network[connection]
            self._idle_count -= 1
            if not of_network:
                del self._idle[connection.network]

    def idle(self, connection: Connection) -> None:
        """Note that a connection waits for a request. Closes another one if too many do."""
        self.busy(connection)
        if self._idle_count >= self._idle_max:
            largest = max(self._idle.values(), key=len)
            oldest = next(iter(largest))
            self.busy(oldest)
            oldest.close_idle()
        self._idle.setdefault(connection.network, {})[connection] = None
        self._idle_count += 1

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(STALL_SECONDS, self._sweep) if self._open else None

    def _sweep(self) -> None:
        """Cut the connections on which nothing has moved since the last sweep, though bytes wait.

        Closing them would not do: the transport would first wait until the client reads.
        """
        for connection, before in list(self._open.items()):
            unsent = connection.unsent_bytes()
            now = (unsent, connection.resumed)
            if unsent and now == before:
                connection.abort()
            else:
                self._open[connection] = now
        self._sweep_later()
