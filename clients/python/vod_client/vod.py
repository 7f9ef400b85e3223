"""`Vod`: one service, and how this program is signed in there."""

import os
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import httpx

from vod_client import uploads
from vod_client.auth import Bearer
from vod_client.errors import ApiError, NotReady, ProcessingFailed, VodError, result
from vod_client.generated import AuthenticatedClient
from vod_client.generated.api.stream import stream_play_retrieve, stream_retrieve
from vod_client.generated.api.videos import videos_retrieve
from vod_client.generated.models import Playback, Processing, Video, VideoStatusEnum

_Self = TypeVar("_Self", bound="Vod")


class Vod:
    """A connection to a service, safe to use from several threads. Close it, or use it in ``with``.

    ``token`` is an API key or an access token; without one, requests are anonymous. `sign_in` renews
    its tokens by itself. ``timeout`` is in seconds, for each step of a request.
    """

    def __init__(self, url: str, *, token: str = "", timeout: float = 60.0) -> None:
        self._begin(url, Bearer(url.rstrip("/"), token), timeout)

    def _begin(self, url: str, bearer: Bearer, timeout: float) -> None:
        self.url = url.rstrip("/")
        # For the functions of vod_client.generated.api. The token is put in by the sign-in below.
        self.api = AuthenticatedClient(
            base_url=self.url,
            token="",
            timeout=httpx.Timeout(timeout),
            httpx_args={"auth": bearer},
        )

    @classmethod
    def sign_in(
        cls: type[_Self], url: str, email: str, password: str, *, timeout: float = 60.0
    ) -> _Self:
        """Sign in with a password, and stay signed in. Raises ApiError."""
        vod = cls(url, timeout=timeout)
        answer = vod._http.post("/api/v1/auth/login", json={"email": email, "password": password})
        vod.close()
        if answer.status_code != 200:
            raise ApiError.of(answer)
        tokens = answer.json()
        bearer = Bearer(
            vod.url, tokens["access_token"], tokens["refresh_token"], tokens["expires_in"]
        )
        vod._begin(url, bearer, timeout)
        return vod

    @classmethod
    def register(
        cls: type[_Self],
        url: str,
        email: str,
        password: str,
        *,
        display_name: str = "",
        timeout: float = 60.0,
    ) -> _Self:
        """Create an account, and sign in. Raises ApiError: ``unique`` for an address that has one."""
        body = {"email": email, "password": password}
        if display_name:
            body["display_name"] = display_name
        with cls(url, timeout=timeout) as vod:
            answer = vod._http.post("/api/v1/auth/register", json=body)
        if answer.status_code != 201:
            raise ApiError.of(answer)
        return cls.sign_in(url, email, password, timeout=timeout)

    @property
    def _http(self) -> httpx.Client:
        return self.api.get_httpx_client()

    def upload(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        video_id: uuid.UUID | str | None = None,
        url: str | None = None,
        chunk_size: int = uploads.CHUNK,
        patience: float = 300.0,
        on_progress: Callable[[int, int], object] | None = None,
        on_url: Callable[[str], object] | None = None,
    ) -> uploads.Uploaded:
        """Send a file, and return its video, whose processing is then queued.

        With ``title`` a new video is made; with ``video_id`` that video gets the file. Errors of the
        connection, of busy servers and of changed bytes are passed over. After ``patience`` seconds
        without a new byte it raises UploadInterrupted, whose ``url`` resumes the upload, also in another
        process. ``on_progress`` gets the bytes that the service has, and the size; ``on_url`` gets the
        upload's address as soon as there is one: keep it to resume after the end of this process. Raises
        ApiError, and httpx.TransportError if the connection fails before there is an address.
        """
        metadata = {}
        if title is not None:
            metadata["title"] = title
        if video_id is not None:
            metadata["video_id"] = str(video_id)
        return uploads.upload(
            self._http,
            self.url,
            path,
            metadata=metadata,
            url=url,
            chunk_size=chunk_size,
            patience=patience,
            on_progress=on_progress,
            on_url=on_url,
        )

    def wait_until_ready(
        self,
        video_id: uuid.UUID | str,
        *,
        timeout: float = 3600.0,
        poll: float = 2.0,
        on_progress: Callable[[int], object] | None = None,
    ) -> Video:
        """Return a video when it is READY. ``timeout`` and ``poll`` are in seconds.

        ``on_progress`` gets the percent that are processed. Raises ProcessingFailed with the service's
        reason, NotReady after the time-out, and ApiError. Lost connections are passed over.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                video = result(videos_retrieve.sync(uuid.UUID(str(video_id)), client=self.api))
            except httpx.TransportError:
                video = None
            if video is not None:
                if video.status is VideoStatusEnum.READY:
                    return video
                if video.status is VideoStatusEnum.FAILED:
                    raise _failure(video)
                if on_progress is not None and isinstance(video.processing, Processing):
                    on_progress(video.processing.percent)
            if time.monotonic() + poll > end:
                raise NotReady(f"The video {video_id} is not READY after {timeout:g} seconds.")
            time.sleep(poll)

    def play(self, video_id: uuid.UUID | str) -> Playback:
        """Begin to watch a video: the answer has the addresses of its playlists (HLS and DASH).

        Raises ApiError, with ``purchase_required`` for a video that must be bought first.
        """
        ticket = result(stream_retrieve.sync(uuid.UUID(str(video_id)), client=self.api))
        playback = stream_play_retrieve.sync(
            ticket.stream_token, client=self.api, accept="application/json"
        )
        if isinstance(playback, Playback):
            return playback
        raise VodError(f"The service began no playback: {playback}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _failure(video: Video) -> ProcessingFailed:
    error = video.processing.error if isinstance(video.processing, Processing) else None
    if error is None:
        return ProcessingFailed("failed", "The service gave no reason.")
    return ProcessingFailed(error.code, error.detail)
