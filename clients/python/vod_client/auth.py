"""The sign-in of requests: an access token that is renewed in time, or an API key."""

import threading
import time
from collections.abc import AsyncGenerator, Generator

import httpx

from vod_client.errors import ApiError

EARLY = 30.0  # seconds before an access token expires in which it is renewed


class Bearer(httpx.Auth):
    """Sign each request with a token. With a refresh token, it is renewed before it expires, and once
    after a 401.

    The service accepts each refresh token once, so one thread renews and the others wait for it.
    """

    requires_response_body = True

    def __init__(
        self, url: str, token: str, refresh_token: str = "", expires_in: float = 0
    ) -> None:
        self._url, self._token, self._refresh = url, token, refresh_token
        self._expires_at = time.monotonic() + expires_in
        self._lock = threading.Lock()

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        if self._refresh and time.monotonic() > self._expires_at - EARLY:
            yield from self._renew(self._token)
        sent = self._sign(request)
        response = yield request
        if response.status_code == 401 and self._refresh:
            response.read()
            yield from self._renew(sent)
            self._sign(request)
            yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign a request without renewing: an event loop must not wait for another thread's lock."""
        self._sign(request)
        yield request

    def _sign(self, request: httpx.Request) -> str:
        """Put the token into a request, or nothing for an anonymous one. Return the token."""
        token = self._token
        request.headers.pop("Authorization", None)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return token

    def _renew(self, used: str) -> Generator[httpx.Request, httpx.Response, None]:
        """Exchange the refresh token, unless another thread has done so since ``used`` was read."""
        with self._lock:
            if self._token != used:
                return
            response = yield httpx.Request(
                "POST", f"{self._url}/api/v1/auth/refresh", json={"refresh_token": self._refresh}
            )
            response.read()
            if response.status_code != 200:
                raise ApiError.of(response)
            tokens = response.json()
            self._token, self._refresh = tokens["access_token"], tokens["refresh_token"]
            self._expires_at = time.monotonic() + tokens["expires_in"]
