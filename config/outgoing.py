"""Requests to addresses that somebody has given: to import a file, or to tell of an event.

The address may name anything, so each connection is checked when it is made, redirects included: only
http and https, to public addresses, by the address that was resolved for it (`requests_hardened`). A
name that points elsewhere a moment later changes nothing.
"""

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests
import requests_hardened  # type: ignore[import-untyped]  # it ships no types
from requests_hardened.ip_filter import InvalidIPAddress  # type: ignore[import-untyped]

__all__ = ["Guard", "InvalidIPAddress", "follow", "session"]


def session(
    *,
    user_agent: str,
    timeouts: tuple[float, float],
    allows_loopback: bool = False,
) -> requests.Session:
    """Return a session whose connections lead to the public Internet alone.

    ``timeouts`` are those of connecting and of silence. A request to another address raises
    InvalidIPAddress, and one by another protocol requests' InvalidSchema. ``allows_loopback`` lets it
    reach this machine too. Redirects are answers like others: ``follow`` follows them.
    """
    config = requests_hardened.Config(
        default_timeout=timeouts,
        never_redirect=True,
        ip_filter_enable=True,
        ip_filter_allow_loopback_ips=allows_loopback,
        user_agent_override=user_agent,
    )
    made: requests.Session = requests_hardened.Manager(config).get_session()
    made.trust_env = False  # a proxy would connect unchecked, and .netrc holds secrets
    # requests reads the whole body of a redirect into memory, and unpacks it, even of one that it does
    # not follow. A body may have no end.
    vars(made)["get_redirect_target"] = _nowhere
    return made


def follow(
    made: requests.Session, url: str, *, headers: Mapping[str, str], most: int
) -> requests.Response:
    """Return the answer to a GET, whose body is not read yet, after at most ``most`` redirects.

    No body of a redirect is read. Raises requests' TooManyRedirects, and ValueError for a redirect that
    names no address.
    """
    for _ in range(most + 1):
        answer = made.get(url, headers=dict(headers), stream=True)
        target = requests.Session.get_redirect_target(made, answer)
        if target is None:
            return answer
        answer.close()
        url = urljoin(url, target)
    raise requests.TooManyRedirects()


def _nowhere(_: requests.Response) -> None:
    return None


class Guard:
    """Ends the connections of a session when their time is over, whatever the other side sends.

    The timeouts of requests are those of one read: a server that sends a byte now and then could hold a
    request for days. As a context it ends them ``seconds`` after it was entered; what waits for them
    then fails as if the other side had closed the connection, and ``is_over`` is true.
    """

    def __init__(self, made: requests.Session, seconds: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        for adapter in made.adapters.values():
            self._watch(adapter)

    def __enter__(self) -> "Guard":
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def _watch(self, adapter: Any) -> None:
        pool_of = adapter.get_connection_with_tls_context

        def watched(*args: Any, **kwargs: Any) -> Any:
            pool = pool_of(*args, **kwargs)
            pool.ConnectionCls = self._noting(type(pool).ConnectionCls)
            return pool

        adapter.get_connection_with_tls_context = watched

    def _noting(self, base: Any) -> type:
        note = self._note

        class Noted(base):  # type: ignore[misc]  # the class is only known now
            """A connection whose socket is known before TLS begins, which hides it."""

            def _new_conn(self) -> socket.socket:
                made: socket.socket = super()._new_conn()
                note(made)
                return made

        return Noted

    def _note(self, made: socket.socket) -> None:
        with self._lock:
            # A second handle of the same connection: that of ``made`` moves into the TLS socket.
            self._sockets.append(made.dup())
            if self.is_over:
                self._shut()

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)
