"""Requests that are sent exactly as they are written: no client's library tidies their paths."""

import contextlib
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

SECONDS = 30
MOST_WAITS = 20  # for the rate limit
# The address of a second network, from which a service on this machine can be asked.
ELSEWHERE = "127.9.0.1"


class Away(Exception):
    """The service did not answer; the text says what happened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``headers`` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_open(self) -> bool:
        """Whether the service gave the asset, or an address that leads to it."""
        return self.status < 400 and self.status not in (204,)

    def json(self) -> Any:
        """Return the body as JSON, or an empty dictionary for anything else."""
        with contextlib.suppress(ValueError):
            return json.loads(self.body)
        return {}


class Door:
    """One address of a running service, such as https://vod.example, and how to ask it."""

    def __init__(self, url: str, *, verified: bool = True) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not the address of a service, such as https://vod.example")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._is_tls = parts.hostname, parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._tls = ssl.create_default_context()
        if not verified:
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    @property
    def is_here(self) -> bool:
        """Whether the service can be asked from a second network of this machine."""
        return self._host in ("127.0.0.1", "localhost")

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        token: str = "",
        agent: str = "leakcheck",
        elsewhere: bool = False,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request, and return the answer with its whole body. A 429 is waited for. Raises Away.

        ``elsewhere`` asks from another network, for a service that ``is_here``.
        """
        sent = {"User-Agent": agent, "Connection": "close", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        for _ in range(MOST_WAITS):
            answer = self._once(path, method, sent, body, elsewhere=elsewhere)
            if answer.status != 429:
                return answer
            time.sleep(min(float(answer.headers.get("retry-after", 1)), 60))
        raise Away(f"{path}: the limit of requests does not end")

    def _once(
        self,
        path: str,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        elsewhere: bool,
    ) -> Answer:
        source = (ELSEWHERE, 0) if elsewhere else None
        host = "127.0.0.1" if elsewhere else self._host
        connection = (
            HTTPSConnection(
                host, self._port, timeout=SECONDS, source_address=source, context=self._tls
            )
            if self._is_tls
            else HTTPConnection(host, self._port, timeout=SECONDS, source_address=source)
        )
        with contextlib.closing(connection):
            try:
                connection.putrequest(method, path, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                if body is not None:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                response = connection.getresponse()
                found = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, found, response.read())
            except (OSError, HTTPException) as error:
                raise Away(f"{self.url}{path}: {error}") from None
